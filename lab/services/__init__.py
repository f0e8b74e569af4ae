"""What the lab's own machines serve. Standard library only: it runs under each machine's Python, not under the
checkout's."""
