"""Preprocessing: volumes cropped, resampled and normalised once, kept on disk with their distances.

`config.PreprocessingConfig` is a user's rules, `volume.prepare_volume` one volume, `prepare.prepare` a
dataset, `prepared.Prepared` what is then on disk. Nothing random: that is augmentation.
"""
