"""Agents that run on a ward's gateway: they measure its two channels and answer Prometheus.

They read one compiled JSON file and import the standard library and prometheus_client, nothing else.
"""

from importlib import metadata

try:
    VERSION = metadata.version("wardnet")
except metadata.PackageNotFoundError:  # run from a checkout that is not installed
    VERSION = "0"
