"""What runs amount to: comparison, tables, figures and the page, made from run directories alone, offline.

`comparison` has the numbers, `figures` and `html` show them, `status` says what sweeps are doing, `doctor`
examines an installation or a dataset, `challenge` writes submissions. Nothing here trains.
"""
