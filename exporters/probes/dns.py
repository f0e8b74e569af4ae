"""dns: asks the channel's resolvers for the service's name."""

from exporters import metrics
from exporters.dial import find_addresses
from exporters.probing import Run


async def probe(run: Run) -> None:
    addresses = await find_addresses(run)
    run.record(metrics.PROBE_DNS_ADDRESSES, float(len(addresses)))
