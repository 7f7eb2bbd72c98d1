"""The ACDC challenge: submissions, and tables in the shape of the paper's.

`submission.export` makes and `submission.faults_of` checks one, `table.phase_table` tabulates. What holds
for every dataset is elsewhere in the report.
"""
