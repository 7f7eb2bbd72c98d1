"""The ACDC challenge: submissions, and tables in the shape of the paper's."""
