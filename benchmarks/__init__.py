"""Measurements side by side: the service against the bare server under it. `python -m benchmarks` prints a table."""
