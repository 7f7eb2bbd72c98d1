"""Lightning callbacks that every run has: its table of epochs and its checkpoints.

`checkpoints.checkpoint_callbacks` and `epoch_table.EpochTable`. What users add comes from the group
`callbacks`, what loggers are told from `rwseg.training.loggers`.
"""
