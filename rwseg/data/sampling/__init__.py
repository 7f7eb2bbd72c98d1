"""Sampling: which patches a batch holds, and the slices on the training device that they are cut from."""
