"""What a lab hands to those who use it: pinned host keys, the people's SSH keys, and the variables that Ansible needs
about this lab."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from lab.layout import COMMAND, Layout
from lab.mirror import COMPONENT, KEY_FILE
from lab.pulling import public_mirror_url
from lab.record import Record
from lab.shop_switch import DATAPATH
from lab.topology import Kind, Node, Topology

# The passwords that the sample inventory names, for people who try the lab: all are "demo".
PASSWORDS = ("mot_cua", "tu_phap", "ky_thuat")
DEMO_HASH = "$6$wardnetlab$51iab1rqVhOTS.wln6lXfXCbwDsDjacmTOALukq8bRatjW8dAPRYTTyjmQxUw206ei24Bs7sQ.7uO1YTstFVu0"


def addresses(node: Node) -> tuple[str, ...]:
    """All addresses of a node, the one that it is reached at by management first."""
    if node.gateway is not None:
        own = [address.ip for port in node.gateway.ports for address in port.own]
        first = [node.gateway.management_ipv4, node.gateway.management_ipv6]
        return tuple(dict.fromkeys(str(address) for address in (*first, *own) if address is not None))
    if node.host is not None:
        return tuple(str(one.ip) for port in node.host.ports for one in (port.ipv4, port.ipv6))
    if node.switch is not None:
        managed = (node.switch.management_ipv4, node.switch.management_ipv6)
        return tuple(str(address) for address in managed if address is not None)
    if node.outside is not None:
        return (str(node.outside.ipv4), str(node.outside.ipv6))
    return ()


def known_hosts(topology: Topology, public_keys: Mapping[str, bytes]) -> str:
    """One line a host of the district: its id and all its addresses, and the key that the lab gave it."""
    lines = []
    for node in topology.nodes:
        if node.outside is None:
            kind, key = public_keys[node.id].decode().split()[:2]
            lines.append(f"{','.join((node.id, *addresses(node)))} {kind} {key}")
    return "\n".join(lines) + "\n"


def ansible_vars(layout: Layout, record: Record, topology: Topology, suite: str, domain: str) -> str:
    """YAML for `ansible-playbook -e @STATE/ansible-vars.yml`."""
    mirror = next((node for node in topology.nodes if node.kind is Kind.MIRROR), None)
    values: dict[str, object] = {
        "wardnet_known_hosts": str(layout.known_hosts),
        "wardnet_ssh_key": str(layout.ssh / "controller"),
        "wardnet_mirror_url": f"http://{addresses(mirror)[0]}/" if mirror is not None else "",
        "wardnet_mirror_key_file": str(layout.mirror / KEY_FILE),
        "wardnet_mirror_suite": suite,
        "wardnet_mirror_components": [COMPONENT],
        "wardnet_switch_datapath": DATAPATH,
        "wardnet_workplaces": record.workplaces,
        **({"wardnet_secrets": dict.fromkeys(PASSWORDS, DEMO_HASH)} if record.workplaces else {}),
        "wardnet_publish_folder": str(layout.published),
        "wardnet_publish_key": str(layout.ssh / "publisher"),
        "wardnet_public_mirror_url": public_mirror_url(topology, domain),
        "wardnet_ca_file": str(layout.state / "ca.pem"),
        # Tests say when security updates come; the lab's own setting of congestion control is no drift.
        "hardening_upgrade_at": "*-01-01 04:00",
        "hardening_sysctl_keep": ["05-bootstrap-tcp.conf"],
        "wardnet_administrator_keys": [(layout.ssh / "controller.pub").read_text().strip()],
        "wardnet_audit_public_keys": [(layout.ssh / "auditor.pub").read_text().strip()],
        # Which of the inventory's hosts exist here.
        "lab_name": layout.name,
        "lab_inventory": str(layout.inventory / "wardnet.yml"),
        "lab_wards": list(record.wards),
        "lab_hosts": [host.id for host in record.hosts if topology.node(host.id).outside is None],
    }
    head = (
        f"# What Ansible needs to know about the lab {layout.name}; written by `{COMMAND} up`.\n"
        f"# Use it with the part of the inventory that is in this lab: -i {layout.inventory}/wardnet.yml\n"
    )
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
