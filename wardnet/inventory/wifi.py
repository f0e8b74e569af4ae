"""`wifi` of a network: its shape, and the record that is built from it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, model_validator

from wardnet.inventory.values import Kbps, Secret, Text, misfit
from wardnet.locale import _
from wardnet.model.intent import Source, Wifi, WifiSecurity

# Of 20 MHz, at 2.4 and at 5 GHz.
BANDS = (range(1, 14), (*range(36, 65, 4), *range(100, 145, 4), *range(149, 166, 4)))
WITH_A_PASSPHRASE = (WifiSecurity.WPA3, WifiSecurity.WPA3_TRANSITION)


def _ssid(value: str) -> str:
    if len(value.encode()) > 32:
        raise ValueError(_("is longer than the 32 bytes that the name of a wifi network may have"))
    return value


def _country(value: str) -> str:
    if not re.fullmatch(r"[A-Z]{2}", value):
        raise ValueError(_("is not a country's two capital letters, such as VN"))
    return value


def _radio_channel(value: int) -> int:
    if not any(value in band for band in BANDS):
        raise ValueError(_("is no channel of 20 MHz at 2.4 or 5 GHz, such as 6 or 36"))
    return value


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class RadioRecord(_Record):
    country: Annotated[StrictStr, AfterValidator(_country)]
    channels: Annotated[list[Annotated[StrictInt, AfterValidator(_radio_channel)]], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_band(self) -> RadioRecord:
        if not any(all(channel in band for channel in self.channels) for band in BANDS):
            raise misfit(
                _("the channels are of 2.4 and of 5 GHz"),
                _("choose channels of one band: 1 to 13, or 36 and above"),
            )
        return self


class ClientKbps(_Record):
    down: Kbps
    up: Kbps


class WifiRecord(_Record):
    ssid: Annotated[Text, AfterValidator(_ssid)]
    security: WifiSecurity
    passphrase: Secret | None = None
    radio: RadioRecord
    client_kbps: ClientKbps
    isolation: StrictBool = True

    @model_validator(mode="after")
    def _passphrase(self) -> WifiRecord:
        wanted = self.security in WITH_A_PASSPHRASE
        if wanted and self.passphrase is None:
            raise misfit(
                _("security '{security}' needs a passphrase").format(security=self.security),
                _("add 'passphrase: \"vault:NAME\"', or choose 'security: owe'"),
            )
        if not wanted and self.passphrase is not None:
            raise misfit(
                _("security '{security}' has no passphrase").format(security=self.security),
                _("remove 'passphrase', or choose 'security: wpa3'"),
            )
        return self


def build_wifi(record: WifiRecord, source: Source) -> Wifi:
    return Wifi(
        record.ssid, record.security, record.passphrase, record.radio.country, tuple(record.radio.channels),
        record.client_kbps.down * 1000, record.client_kbps.up * 1000, record.isolation, source,
    )  # fmt: skip
