"""`python -m rwseg.report DIR... -o OUT`: compare any number of runs, from their directories alone, offline."""
