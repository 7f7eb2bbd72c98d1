"""`python -m rwseg.doctor`: what is wrong with an installation or a dataset, before hours are spent."""
