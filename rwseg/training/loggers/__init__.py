"""What Lightning's loggers are told of a run; the CSV files beside them are always written."""
