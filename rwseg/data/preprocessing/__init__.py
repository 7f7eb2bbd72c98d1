"""Preprocessing: volumes cropped, resampled and normalised once, kept on disk with their distances."""
