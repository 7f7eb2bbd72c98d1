"""Comparison: from run directories to the numbers of a report, their tests and what they allow to say.

`runs.find_runs` reads them, `compare.compare` makes a `comparison.Comparison`, of which figures, tables
and page are drawn elsewhere. The tests themselves are `rwseg.statistics`.
"""
