"""Configuration: the schema of every group, the rules between them, and words for what does not fit.

`schema.TrainConfig` and `schema.EvaluateConfig` are what there is to set, `validation.check` makes one of
what Hydra composed (`rwseg.experiments.composition`). Nothing heavy is imported here.
"""
