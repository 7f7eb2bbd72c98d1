"""`python -m rwseg.report DIR... -o OUT`: compare runs, from their directories alone, offline."""
