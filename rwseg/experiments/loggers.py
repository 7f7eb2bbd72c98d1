"""Lightning's loggers for a run: what it is called in them, and where one that was interrupted goes on."""

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from pytorch_lightning.loggers import Logger, WandbLogger

from rwseg.core.errors import ConfigError, RunError
from rwseg.core.files import write_text
from rwseg.experiments.run_identity import Identity, kept_id, require
from rwseg.training.loggers.callbacks import Tracked

if TYPE_CHECKING:
    import wandb

STORE = "MLFLOW_TRACKING_URI"
SUPERSEDED = "superseded"


@contextmanager
def tracked(
    nodes: Mapping[str, Any], identity: Identity, settings: Mapping[str, object], resumed: tuple[int, int]
) -> Iterator[list[Tracked]]:
    """Yield the loggers of the group `logger`; end them with the run, as failed where the block raises.

    Arguments in the configuration go to the logger as they are; those that follow from the run are added.
    `settings` is what they are told of the run, `resumed` the epoch and step that training goes on with.
    Raises `RunError` for a missing package, an account, a connection or an id that is wanting, `ConfigError`
    for a class that is no logger.
    """
    found: list[Tracked] = []
    success = False
    try:
        for name, node in nodes.items():
            if node is not None:
                found.append(_begin(str(name), node, identity, settings, resumed))
        yield found
        success = True
    finally:
        for one in found:
            _end(one.logger, success)


def _begin(
    name: str,
    node: Mapping[str, Any],
    identity: Identity,
    settings: Mapping[str, object],
    resumed: tuple[int, int],
) -> Tracked:
    target = str(node.get("_target_"))
    if target.endswith(".WandbLogger"):
        return _wandb(node, identity, settings)
    if target.endswith(".MLFlowLogger"):
        return _mlflow(node, identity, settings)
    if target.endswith(".TensorBoardLogger"):
        require("tensorboard", "logger=tensorboard", "rwseg[tensorboard]")
        # What it holds of the epoch under way is hidden: that epoch runs again.
        own = {
            "save_dir": str(identity.folder),
            "name": "",
            "version": "tensorboard",
            "purge_step": resumed[1],
        }
        return Tracked(_logger(node, {**own, "default_hp_metric": False}), resumed[0])
    logger = instantiate(node)
    if not isinstance(logger, Logger):
        raise ConfigError(f"logger.{name}: expected a logger of Lightning by its _target_, got {target}")
    return Tracked(logger, resumed[0])


def _logger(node: Mapping[str, Any], own: dict[str, Any]) -> Any:
    """The logger of `node`, with those of our arguments that it leaves open."""
    return instantiate(node, _partial_=True, _convert_="all")(
        **{key: value for key, value in own.items() if node.get(key) is None}
    )


def _wandb(node: Mapping[str, Any], identity: Identity, settings: Mapping[str, object]) -> Tracked:
    """W&B, in the run whose id stands in `wandb_id.txt` of the run directory."""
    require("wandb", "logger=wandb", "wandb")
    import wandb

    path = identity.folder / "wandb_id.txt"
    run_id = kept_id(path, "W&B") or uuid.uuid4().hex
    write_text(path, run_id)
    own = {
        "save_dir": str(identity.folder),
        "id": run_id,
        "resume": "allow",
        "group": identity.group,
        "job_type": "train",
        "name": identity.name,
        "tags": identity.tags,
        "config": settings,
    }
    try:
        logger = _logger(node, own)
        run = logger.experiment
    except wandb.errors.Error as error:  # no account, no connection, a refused setting
        raise RunError(
            f"logger=wandb: expected an account (wandb login) or offline mode, got: {error}; "
            "set WANDB_MODE=offline, or use logger=csv"
        ) from error
    return Tracked(logger, _first_epoch(run))


def _first_epoch(run: "wandb.Run") -> int | None:
    """The first epoch that W&B lacks, None where nobody can know.

    A server that resumes a run tells its last epoch. Offline, W&B writes every 15 seconds, so that the folder
    of a killed process ends early or is empty: unless one was sent already, this start writes all epochs
    again, and the folders before it are set aside.
    """
    if run.resumed:
        return int(dict(run.summary).get("epoch", -1)) + 1
    own = Path(run.dir).parent  # wandb/offline-run-<time>-<id>/files
    earlier = [path for path in own.parent.glob(f"*run-*-{run.id}") if path != own]
    if any(not path.name.startswith("offline-") or list(path.glob("*.synced")) for path in earlier):
        return None
    for path in earlier:
        (own.parent / SUPERSEDED).mkdir(exist_ok=True)
        path.rename(own.parent / SUPERSEDED / path.name)
    return 0


def _mlflow(node: Mapping[str, Any], identity: Identity, settings: Mapping[str, object]) -> Tracked:
    """MLflow, in the run whose id stands in `mlflow_id.txt`; without a store's name in the run directory."""
    require("mlflow", "logger=mlflow", "rwseg[mlflow]")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves a machine unasked
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # the one store that needs no database
    from mlflow.exceptions import MlflowException

    path, asked = identity.folder / "mlflow_id.txt", os.environ.get(STORE)
    run_id = kept_id(path, "MLflow")
    own = {
        "run_name": identity.name,
        "tracking_uri": asked or (identity.folder / "mlruns").absolute().as_uri(),
        "tags": {"group": identity.group, "method": identity.method, **identity.choices},
        "run_id": run_id,
    }
    try:
        logger = _logger(node, own)
        client, found = logger.experiment, str(logger.run_id)
        if run_id is None:
            write_text(path, found)
            logger.log_hyperparams(settings)
        client.update_run(found, status="RUNNING")
        return Tracked(
            logger, len({metric.step for metric in client.get_metric_history(found, "train/loss")})
        )
    except MlflowException as error:
        known = f", which knows the run of {path}" if run_id else ""
        raise RunError(
            f"logger=mlflow: expected an MLflow store at {own['tracking_uri']}{known}, got: {error}; "
            f"set {STORE}, or use logger=csv"
        ) from error
    finally:
        os.environ.pop(STORE, None)  # MLflow sets it, and the next job of a sweep would use this run's store
        if asked:
            os.environ[STORE] = asked


def _end(logger: Logger, success: bool) -> None:
    """End a run as finished or failed: W&B's would go on in the next job of a sweep."""
    logger.finalize("success" if success else "failed")
    if isinstance(logger, WandbLogger):
        logger.experiment.finish(exit_code=0 if success else 1)
