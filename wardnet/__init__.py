"""wardnet: the core, which knows the district. Only cli and live open sockets."""

from importlib import metadata

try:
    __version__ = metadata.version("wardnet")
except metadata.PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0"
