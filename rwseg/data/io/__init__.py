"""Image files in and out: NIfTI and pictures, their geometry and their labels."""
