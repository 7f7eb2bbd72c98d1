"""Augmentation: nnU-Net's spatial and intensity transforms, for a whole batch at once."""
