"""What an experiment will cost, before it is started: python -m rwseg.plan."""
