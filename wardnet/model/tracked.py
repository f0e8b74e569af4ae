"""A connection that a device's connection tracking keeps."""

from __future__ import annotations

from dataclasses import dataclass

from wardnet.model.intent import IPAddress
from wardnet.model.span import Span


@dataclass(frozen=True, slots=True)
class Connection:
    """`source` began it and sent to `destination`; `answers_from` is who answers, at `port`, and is another where the
    destination was translated. Protocols without ports have 0. It is `alive` once somebody has answered, until both
    ends have closed it: else its next packet is a new one, or there is none."""

    span: Span
    protocol: str
    source: IPAddress
    destination: IPAddress
    answers_from: IPAddress
    port: int
    alive: bool
