"""tcp: connects to the service's port and hangs up."""

from exporters.dial import connect, find_addresses, record_tcp
from exporters.probing import Run


async def probe(run: Run) -> None:
    addresses = await find_addresses(run)
    with await connect(run, addresses, run.service.url.port) as sock:
        record_tcp(run, sock)
