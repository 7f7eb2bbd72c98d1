"""Experiment trackers beside the CSV files, which are always written and are the truth."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger, WandbLogger

from rwseg.config import Choices
from rwseg.errors import RunError
from rwseg.files import write_text


@dataclass(frozen=True)
class Identity:
    """Where a run lies and which options it is made of."""

    folder: Path
    choices: Choices


@contextmanager
def tracked(cfg: DictConfig, identity: Identity) -> Iterator[Logger | None]:
    """Yield the logger that `cfg.logger` names (None for csv); end it with the run, also a failing one."""
    if not cfg.logger:
        yield None
        return
    logger = instantiate(cfg.logger, _partial_=True)(cfg=cfg, identity=identity)
    status = "failed"
    try:
        yield logger
        status = "success"
    finally:
        logger.finalize(status)
        if isinstance(logger, WandbLogger):
            # Lightning leaves the W&B run open, and the next job of a sweep would go on writing to it
            logger.experiment.finish(exit_code=0 if status == "success" else 1)


def wandb_logger(project: str, entity: str | None, cfg: DictConfig, identity: Identity) -> WandbLogger:
    """A W&B run whose group collects seeds: `<dataset>/<loss>/<strategy>`, name `<loss>-s<seed>`.

    Its id stands in `wandb_id.txt` of the run directory, so that a resumed run goes on in the same W&B run.
    With WANDB_MODE=offline no account is needed and `wandb sync` sends it later. Without an account W&B asks
    for one at a terminal; elsewhere, and for whatever else keeps W&B from starting, `RunError` is raised.
    """
    import wandb

    choices = identity.choices
    try:
        run = wandb.init(
            project=project,
            entity=entity,
            dir=identity.folder,
            id=_run_id(identity.folder),
            resume="allow",
            group=f"{choices['dataset']}/{choices['loss']}/{choices['strategy']}",
            job_type="train",
            name=f"{choices['loss']}-s{cfg.seed}",
            tags=[choices["dataset"], choices["loss"], choices["strategy"]],
            config=_plain(cfg),
        )
    except wandb.errors.Error as error:  # no account, no connection, a refused setting
        raise RunError(
            f"logger=wandb: expected an account (wandb login) or offline mode, got: {error}; "
            "set WANDB_MODE=offline, or use logger=csv"
        ) from error
    return WandbLogger(experiment=run)


def _run_id(folder: Path) -> str:
    path = folder / "wandb_id.txt"
    if not path.is_file():
        write_text(path, uuid.uuid4().hex)
    found = path.read_text(encoding="utf-8").strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]+", found):
        raise RunError(f"{path}: expected the id of a W&B run, found {found!r}; delete the file")
    return found


def _plain(cfg: DictConfig) -> dict[str, object]:
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}
