"""Training: the Lightning module, callbacks, diagnostics (the stability meter), loggers and results.

`lightning_module.Learner`, `fit.fit` and `results.write_results`. No configuration comes here: what
trains is built by `rwseg.experiments`.
"""
