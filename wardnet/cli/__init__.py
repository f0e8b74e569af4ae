"""The command `wardnet`: one module a command, listed in main."""
