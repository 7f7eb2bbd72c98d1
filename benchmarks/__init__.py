"""Timings against peers: each a command, `python -m benchmarks.maps`; `python -m benchmarks` runs all."""
