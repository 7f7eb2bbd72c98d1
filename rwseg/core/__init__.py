"""What every package needs and no field owns: errors, checks of arrays, files, leases, progress."""
