"""What an experiment will cost, before it is started.

`measure.measure` times a method on this machine, `estimate.plan_rows` makes hours and disk of it. The
plan of a network is another thing: `rwseg.models.planner`.
"""
