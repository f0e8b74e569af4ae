"""The modules of /probe, by name. A new one is a file beside this and a line here."""

from exporters.probes import dns, http, icmp, scanner, tcp, tls
from exporters.probing import Probe

MODULES: dict[str, Probe] = {
    "dns": dns.probe,
    "http": http.probe,
    "icmp": icmp.probe,
    "scanner": scanner.probe,
    "tcp": tcp.probe,
    "tls": tls.probe,
}
