"""Another machine in a host's place: the inventory's line of it with the new one's hardware address. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from wardnet.inventory.problems import closest
from wardnet.inventory.writing.edit import set_key
from wardnet.inventory.writing.errors import WritingError
from wardnet.inventory.writing.proposal import Proposal
from wardnet.locale import _
from wardnet.model.intent import District


def propose_mac(files: Mapping[str, bytes], district: District, host_id: str, port: str, mac: str) -> Proposal:
    """The host's port with this hardware address, in the place where it is written. `district` is what `files` hold.

    WritingError where there is no such host or port; what the strict reader says of it comes with `Proposal.district`.
    """
    for _ward, site in district.sites:
        for host in site.hosts:
            if host.id != host_id:
                continue
            names = [each.name for each in host.interfaces]
            if port not in names:
                raise WritingError(
                    _("{host} has no port '{port}'; it has: {ports}").format(
                        host=host_id, port=port, ports=", ".join(names)
                    )
                )
            name = host.source.file
            path = ("sites", site.id, "hosts", host.id, "interfaces", names.index(port))
            text = set_key(files[name].decode(), path, "mac", mac)
            return Proposal(files, {name: text.encode()} if text.encode() != files[name] else {})
    near = closest(host_id, [host.id for _ward, site in district.sites for host in site.hosts])
    hint = _("did you mean '{word}'?").format(word=near) if near else _("gateways are replaced with wardnet bootstrap")
    raise WritingError(_("no PC {host} in the inventory ({hint})").format(host=host_id, hint=hint))
