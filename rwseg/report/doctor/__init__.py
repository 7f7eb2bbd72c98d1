"""What is wrong with an installation or a dataset, before hours are spent."""
