"""Weights & Biases: curves by epoch, and at the end overlays, the table of cases and a summary."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from rwseg.errors import RunError
from rwseg.files import write_text
from rwseg.tracking.identity import Identity, kept_id, require
from rwseg.tracking.results import Results, shown_plane

if TYPE_CHECKING:
    import wandb


SUPERSEDED = "superseded"


class WandbTracker:
    """A W&B run whose step is the epoch: W&B keeps one row per step, so an epoch cannot stand there twice."""

    def __init__(self, run: "wandb.Run", first_epoch: int | None) -> None:
        self.run = run
        self.first_epoch = first_epoch

    def log_epoch(self, epoch: int, row: Mapping[str, float]) -> None:
        """Log a row as one complete step."""
        self.run.log(dict(row), step=epoch, commit=True)

    def log_results(self, results: Results) -> None:
        """Log `final/...`, `cases` and `overlays/1`, ... after the last epoch, and what ran where."""
        import wandb

        self.run.summary.update({"final/device": results.device, "final/commit": results.commit})
        if results.epochs < self.run.starting_step:
            return  # logged by a process that was interrupted afterwards
        media: dict[str, object] = {"cases": wandb.Table(dataframe=results.cases)}
        labels = dict(enumerate(results.classes))
        # each under its own name: images of a list would have to be of one size
        for number, overlay in enumerate(results.overlays, start=1):
            plane = shown_plane(overlay)
            masks = {
                name: {"mask_data": mask, "class_labels": labels}
                for name, mask in (("reference", plane.reference), ("prediction", plane.prediction))
            }
            media[f"overlays/{number}"] = wandb.Image(plane.image, caption=plane.caption, masks=masks)
        self.run.log({**results.metrics(), **media}, step=results.epochs, commit=True)

    def close(self, success: bool) -> None:
        """End the W&B run: it would go on in the next job of a sweep."""
        self.run.finish(exit_code=0 if success else 1)


def wandb_tracker(project: str, entity: str | None, cfg: DictConfig, identity: Identity) -> WandbTracker:
    """Start or resume a W&B run; `Identity` says how it is called and grouped.

    Its id stands in `wandb_id.txt` of the run directory, so that a resumed run goes on in the same W&B run.
    With WANDB_MODE=offline no account is needed and `wandb sync` sends it later. Without an account W&B asks
    for one at a terminal; elsewhere, and for whatever else keeps W&B from starting, `RunError` is raised.
    """
    require("wandb", "logger=wandb", "wandb")
    import wandb

    path = identity.folder / "wandb_id.txt"
    run_id = kept_id(path, "W&B")
    if run_id is None:
        run_id = uuid.uuid4().hex
        write_text(path, run_id)
    try:
        run = wandb.init(
            project=project,
            entity=entity,
            dir=identity.folder,
            id=run_id,
            resume="allow",
            group=identity.group,
            job_type="train",
            name=identity.name(cfg.seed),
            tags=identity.tags,
            config=identity.settings(cfg),
        )
    except wandb.errors.Error as error:  # no account, no connection, a refused setting
        raise RunError(
            f"logger=wandb: expected an account (wandb login) or offline mode, got: {error}; "
            "set WANDB_MODE=offline, or use logger=csv"
        ) from error
    return WandbTracker(run, _first_epoch(run))


def _first_epoch(run: "wandb.Run") -> int | None:
    """The first epoch that W&B lacks, None where nobody can know.

    A server that resumes a run tells its last step. Offline, W&B writes every 15 seconds, so that the folder
    of a killed process ends early or is empty: unless one was sent already, this start writes all epochs
    again, and the folders before it are set aside.
    """
    if run.resumed:
        return run.starting_step
    own = Path(run.dir).parent  # wandb/offline-run-<time>-<id>/files
    earlier = [path for path in own.parent.glob(f"*run-*-{run.id}") if path != own]
    if any(not path.name.startswith("offline-") or list(path.glob("*.synced")) for path in earlier):
        return None
    for path in earlier:
        (own.parent / SUPERSEDED).mkdir(exist_ok=True)
        path.rename(own.parent / SUPERSEDED / path.name)
    return 0
