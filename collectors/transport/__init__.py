"""Ways to reach a device. The only place that may import an SSH library."""
