"""Image files in and out: NIfTI and pictures, their geometry and their labels.

`cases.read_case` and `cases.write_labels` are for others; they choose `nifti` or `pictures`. Values stay
as they are in the file: what changes them is preprocessing.
"""
