"""Timings against SciPy, PyTorch and peers; each but `timing` is a command, `python -m benchmarks.maps`."""
