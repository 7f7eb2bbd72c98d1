"""What every package needs and no field owns: errors, checks of arrays, files, leases, progress.

Nothing of images, networks or statistics. The most used: `errors.RwsegError` and its kinds,
`validation.check_spacing`, `files.replacing`, `lease.Lease`, `progress.track`.
"""
