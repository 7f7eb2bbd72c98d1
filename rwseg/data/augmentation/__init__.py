"""Augmentation: nnU-Net's spatial and intensity transforms, for a whole batch at once.

`config.AugmentConfig` sets what `batches.augmented_batch` does. Which patches are taken is `sampling`'s,
what is done once for a volume `preprocessing`'s.
"""
