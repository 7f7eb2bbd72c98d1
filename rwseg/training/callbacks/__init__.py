"""Lightning callbacks that every run has: its table of epochs and its checkpoints."""
