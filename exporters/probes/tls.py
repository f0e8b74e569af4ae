"""tls: a handshake with the service, its certificate verified."""

from exporters.dial import connect, find_addresses, record_tcp, secure
from exporters.probing import Run, UnsuitableTargetError


async def probe(run: Run) -> None:
    url = run.service.url
    if url.scheme != "https":
        raise UnsuitableTargetError(f"{run.target.id} does not use TLS")
    addresses = await find_addresses(run)
    with await connect(run, addresses, url.port) as sock:
        try:
            await secure(run, sock, url.host)
        finally:
            record_tcp(run, sock)
