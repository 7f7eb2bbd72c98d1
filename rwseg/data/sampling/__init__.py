"""Sampling: which patches a batch holds, and the slices on the training device that they are cut from.

`patches.oversampled_samples` draws them, `slice_cache.SliceCache` cuts a `slice_cache.Batch`. How patches
are changed is augmentation.
"""
