"""TensorBoard and MLflow, through Lightning's loggers."""

import os
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning.loggers import MLFlowLogger, TensorBoardLogger

from rwseg.errors import RunError
from rwseg.files import write_text
from rwseg.tracking.identity import Identity, kept_id, require
from rwseg.tracking.results import Results

STORE = "MLFLOW_TRACKING_URI"


class TensorBoardTracker:
    """Event files in `tensorboard/` of the run directory, and a line of TensorBoard's HParams table."""

    def __init__(self, logger: TensorBoardLogger, settings: dict[str, object]) -> None:
        self.logger = logger
        self.settings = settings

    @property
    def first_epoch(self) -> int | None:
        """Every start writes all epochs again and hides the files before it."""
        return 0

    def log_epoch(self, epoch: int, row: Mapping[str, float]) -> None:
        """Write the scalars of an epoch."""
        self.logger.log_metrics(row, step=epoch)
        self.logger.experiment.flush()

    def log_results(self, results: Results) -> None:
        """Write `final/...` beside the settings that led to them."""
        self.logger.log_hyperparams(self.settings, results.metrics(), step=results.epochs)

    def close(self, success: bool) -> None:
        """Close the file."""
        self.logger.finalize("success" if success else "failed")


def tensorboard_tracker(cfg: DictConfig, identity: Identity) -> TensorBoardTracker:
    """Write event files into the run directory; `RunError` without the package `tensorboard`."""
    require("tensorboard", "logger=tensorboard", "rwseg[tensorboard]")
    logger = TensorBoardLogger(
        identity.folder, name="", version="tensorboard", default_hp_metric=False, purge_step=0
    )
    return TensorBoardTracker(logger, identity.settings(cfg))


class MLflowTracker:
    """A run in an MLflow store."""

    def __init__(self, logger: MLFlowLogger, first_epoch: int) -> None:
        self.logger = logger
        self.first_epoch: int | None = first_epoch

    def log_epoch(self, epoch: int, row: Mapping[str, float]) -> None:
        """Send the metrics of an epoch."""
        self.logger.log_metrics(row, step=epoch)

    def log_results(self, results: Results) -> None:
        """Send `final/...`."""
        self.logger.log_metrics(results.metrics(), step=results.epochs)

    def close(self, success: bool) -> None:
        """Say how the run ended."""
        self.logger.finalize("success" if success else "failed")


def mlflow_tracker(project: str, cfg: DictConfig, identity: Identity) -> MLflowTracker:
    """Start or resume a run in the store of MLFLOW_TRACKING_URI, or in `mlruns/` of the run directory.

    The experiment is called as a W&B project, run and tags as there. The run's id stands in `mlflow_id.txt`
    of the run directory. Raises `RunError` without the package, where the store cannot be used, and where it
    does not know the id.
    """
    require("mlflow", "logger=mlflow", "rwseg[mlflow]")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves a machine unasked
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # the one store that needs no database
    from mlflow.exceptions import MlflowException

    path = identity.folder / "mlflow_id.txt"
    asked = os.environ.get(STORE)
    uri = asked or (identity.folder / "mlruns").absolute().as_uri()
    run_id = kept_id(path, "MLflow")
    try:
        logger = MLFlowLogger(
            experiment_name=project,
            run_name=identity.name(cfg.seed),
            tracking_uri=uri,
            tags={"group": identity.group, "method": identity.method, **identity.choices},
            run_id=run_id,
        )
        return MLflowTracker(logger, _begin(logger, cfg, identity, path, resumed=run_id is not None))
    except MlflowException as error:
        known = f", which knows the run of {path} (delete that file to begin another)" if run_id else ""
        raise RunError(
            f"logger=mlflow: expected an MLflow store at {uri}{known}, got: {error}; "
            f"set {STORE}, or use logger=csv"
        ) from error
    finally:
        os.environ.pop(STORE, None)  # MLflow sets it, and the next job of a sweep would use this run's store
        if asked:
            os.environ[STORE] = asked


def _begin(logger: MLFlowLogger, cfg: DictConfig, identity: Identity, path: Path, resumed: bool) -> int:
    """Begin the run, or mark it as running again; returns the first epoch that the store lacks."""
    client, run_id = logger.experiment, str(logger.run_id)
    if not resumed:
        write_text(path, run_id)
        logger.log_hyperparams(identity.settings(cfg))
        return 0
    client.update_run(run_id, status="RUNNING")
    return max((metric.step + 1 for metric in client.get_metric_history(run_id, "train/loss")), default=0)
