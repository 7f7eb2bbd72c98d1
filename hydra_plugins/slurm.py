"""Hydra's launcher `slurm`. Hydra imports this at every start, so nothing else is imported up here."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig


class Slurm(Launcher):
    """The jobs of a sweep as a SLURM array; conf/hydra/launcher/slurm.yaml has the settings."""

    def __init__(self, submitit_folder: str, max_num_timeout: int, sbatch: DictConfig) -> None:
        self.folder = submitit_folder
        self.max_num_timeout = max_num_timeout
        self.sbatch = sbatch

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        """Keep what `launch` needs."""
        self.hydra_context = hydra_context
        self.task = task_function
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        """Run all jobs; what failed is in the command's summary, so that none counts as failed here."""
        from omegaconf import OmegaConf

        from rwseg.cli import fail
        from rwseg.errors import RwsegError
        from rwseg.slurm import Submission, launch

        sbatch = {str(name): value for name, value in OmegaConf.to_object(self.sbatch).items()}  # type: ignore[union-attr]
        submission = Submission(self.folder, self.max_num_timeout, sbatch, self.hydra_context, self.config)
        try:
            launch(self.task, job_overrides, initial_job_idx, submission)
        except RwsegError as error:  # Hydra would show a traceback
            fail(str(error))
        return [JobReturn(overrides=job, status=JobStatus.COMPLETED) for job in job_overrides]
