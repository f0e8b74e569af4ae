"""icmp: one echo request to a reflector, or to a service's first address."""

from exporters import metrics
from exporters.config import Reflector
from exporters.dial import find_addresses
from exporters.echo import EchoSocket
from exporters.probing import Run


async def probe(run: Run) -> None:
    target = run.target
    address = target.address(run.family) if isinstance(target, Reflector) else (await find_addresses(run))[0]
    echo = EchoSocket(run.channel, run.family)
    try:
        with run.phase("echo"):
            round_trip = await echo.measure(address)
    finally:
        run.egress = echo.egress
        echo.close()
    run.record(metrics.PROBE_ROUND_TRIP, round_trip)
    run.note(f"{address} answered")
