"""Hydra's launcher `ray`. Hydra imports this at every start, so nothing else is imported up here."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig


class RayLauncher(Launcher):
    """One process per run, as many at a time as there is room for; settings: conf/hydra/launcher/ray.yaml."""

    def __init__(self, address: Any, num_cpus: Any, num_gpus: Any, max_retries: Any, local: Any) -> None:
        self.settings = {
            "address": address,
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "max_retries": max_retries,
            "local": dict(local),
        }

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """Keep what `launch` needs."""
        self.task = task_function
        self.hydra_overrides = list(config.hydra.overrides.hydra)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run all jobs; what failed is in the command's summary, so that none counts as failed here."""
        from rwseg.core.errors import RwsegError
        from rwseg.experiments.command import fail
        from rwseg.experiments.sweeps.ray_sweep import launch

        try:
            launch(self.task, job_overrides, initial_job_idx, self.hydra_overrides, self.settings)
        except RwsegError as error:  # Hydra would show a traceback
            fail(str(error))
        return [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in job_overrides]
