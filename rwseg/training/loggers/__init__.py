"""Experiment trackers beside the CSV files, which are always written and are the truth.

`run` ties a tracker to a training run, `mirror` sends it the rows of `epochs.csv`, `results` is what it gets
at the end; `wandb_tracker`, `tensorboard` and `mlflow` are the trackers, each imported only when selected.
`python -m rwseg.tracking dashboard PROJECT` builds W&B's views of a project.
"""
