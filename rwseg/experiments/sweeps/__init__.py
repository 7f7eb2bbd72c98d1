"""Many runs: the manifest of a sweep, and the launchers that work through it (in turn, Ray, SLURM).

`manifest.sweep_manifest` says what a sweep will visit, `ray_sweep.launch` and `slurm.launch` do it. What
one run does is `rwseg.experiments.run`.
"""
