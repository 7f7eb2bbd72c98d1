"""Many runs: the manifest of a sweep, and the launchers that work through it (in turn, Ray, SLURM)."""
