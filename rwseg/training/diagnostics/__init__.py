"""What training measures of its own loss: wrong signs, terms, the gap to the minimum, lost classes.

`loss_monitor.measure` and `stability.CollapseWatch`; they change no result. Why signs are wrong is
`rwseg.losses.theory`.
"""
