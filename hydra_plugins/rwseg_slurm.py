"""Hydra's launcher `slurm`. Hydra imports this at every start, so nothing else is imported up here."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf


class Slurm(Launcher):
    """The jobs of a sweep as a SLURM array; conf/hydra/launcher/slurm.yaml has the settings."""

    def __init__(self, **settings: Any) -> None:
        self.settings = {
            key: OmegaConf.to_object(value) if OmegaConf.is_config(value) else value
            for key, value in settings.items()
        }

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """Keep what `launch` needs."""
        self.hydra_context = hydra_context
        self.task = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run all jobs; what failed is in the command's summary, so that none counts as failed here."""
        from rwseg.core.errors import RwsegError
        from rwseg.experiments.command import fail
        from rwseg.experiments.sweeps.slurm import launch

        try:
            launch(self.task, job_overrides, initial_job_idx, self.settings, self.hydra_context, self.config)
        except RwsegError as error:  # Hydra would show a traceback
            fail(str(error))
        return [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in job_overrides]
