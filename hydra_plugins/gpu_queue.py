"""Hydra's launcher `gpu_queue`. Hydra imports this at every start, so nothing else is imported up here."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig


class GpuQueue(Launcher):
    """One process per run, several at a time; conf/hydra/launcher/gpu_queue.yaml has the settings."""

    def __init__(self, jobs_per_gpu: Any, jobs: Any, free_gib: Any, stagger: Any) -> None:
        self.settings = {"jobs_per_gpu": jobs_per_gpu, "jobs": jobs, "free_gib": free_gib, "stagger": stagger}

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """Keep what `launch` needs."""
        self.task = task_function
        self.hydra_overrides = list(config.hydra.overrides.hydra)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run all jobs; what failed is in the command's summary, so that none counts as failed here."""
        from rwseg.cli import fail
        from rwseg.errors import RwsegError
        from rwseg.launch import launch

        try:
            launch(self.task, job_overrides, initial_job_idx, self.hydra_overrides, self.settings)
        except RwsegError as error:  # Hydra would show a traceback
            fail(str(error))
        return [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in job_overrides]
