"""Comparison: from run directories to the numbers of a report, their tests and what they allow to say."""
