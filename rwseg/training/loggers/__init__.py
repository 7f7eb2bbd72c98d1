"""What Lightning's loggers are told of a run; the CSV files beside them are always written.

`callbacks.LogEpochs` while it trains, `results.results` at its end. Loggers are made in
`rwseg.experiments.loggers`.
"""
