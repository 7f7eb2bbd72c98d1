"""An experiment: its configuration, run directories, sweeps, launchers and cost, and the way of one run.

This is the lowest package that knows Hydra's configuration; below it there are typed values and objects
only. `run.train_run`, `evaluation.evaluate_run` and `load_run.load_run` are its deeds. What compares runs
is a report.
"""
