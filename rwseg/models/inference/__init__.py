"""Inference: sliding window, whole volumes, and the predictor of one run or of an ensemble."""
