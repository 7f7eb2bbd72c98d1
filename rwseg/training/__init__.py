"""Training: the Lightning module, callbacks, diagnostics (the stability meter), loggers and results.

No configuration comes here: what trains is built by `rwseg.experiments`.
"""
