"""From devices to snapshots: transports that read artefacts, and parsers that make sense of them."""
