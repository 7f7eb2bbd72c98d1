"""What sweeps are doing now.

`status.show` prints it, from manifests and run directories alone; it starts and stops nothing.
"""
