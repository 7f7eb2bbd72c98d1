"""Overlays, the table of cases and final results, as each of Lightning's loggers takes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from rwseg.metrics.terminal_table import unit_of
from rwseg.training.figures import rgb
from rwseg.training.loggers.results import Overlay, Plane, Results, shown_plane

Rgb = NDArray[np.uint8]


def takes_pictures(logger: Logger) -> bool:
    """Whether `log_overlays` has something to do."""
    return isinstance(logger, WandbLogger | TensorBoardLogger | MLFlowLogger)


def log_overlays(logger: Logger, overlays: Sequence[Overlay], classes: Sequence[str], step: int) -> None:
    """Log the slice with most foreground of each case as `overlays/1`, `overlays/2`, ..."""
    for number, overlay in enumerate(overlays, start=1):
        plane, name = shown_plane(overlay), f"overlays/{number}"
        if isinstance(logger, WandbLogger):
            _wandb_image(logger, name, plane, classes, step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_image(name, painted(plane), step, dataformats="HWC")
            logger.experiment.flush()
        elif isinstance(logger, MLFlowLogger):
            logger.experiment.log_image(logger.run_id, painted(plane), f"{name}-step{step}.png")


def log_results(logger: Logger, results: Results, settings: dict[str, object], cases_csv: Path) -> None:
    """Log `final/...`, overlays and the table of cases, once, at the step after the last."""
    if _has_results(logger):
        return  # logged by a process that was interrupted afterwards
    step = results.steps
    if isinstance(logger, TensorBoardLogger):
        logger.log_hyperparams(settings, results.metrics(), step=step)
    else:
        logger.log_metrics(results.metrics(), step=step)
    log_overlays(logger, results.overlays, results.classes, step)
    if isinstance(logger, WandbLogger):
        logger.log_table("cases", dataframe=results.cases, step=step)
        logger.experiment.summary.update(
            {
                "final/missed_policy": results.policy,
                "final/unit": unit_of(results.cases),
                "final/device": results.device,
                "final/commit": results.commit,
            }
        )
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(cases_csv))


def painted(plane: Plane) -> Rgb:
    """The slice, with the reference's outlines in the classes' colours and the prediction's areas tinted."""
    picture = plane.image.astype(np.float32)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)  # (H, W, 3)
    for label in range(1, 1 + max(plane.reference.max(), plane.prediction.max())):
        colour = rgb(label)
        area, mask = plane.prediction == label, plane.reference == label
        picture[area] = 0.65 * picture[area] + 0.35 * colour
        picture[_outline(mask)] = colour
    return picture.round().astype(np.uint8)


def _outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of `(H, W)` with a neighbour outside, or at the picture's edge."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _wandb_image(logger: WandbLogger, name: str, plane: Plane, classes: Sequence[str], step: int) -> None:
    labels = dict(enumerate(classes))
    masks = {
        key: {"mask_data": mask, "class_labels": labels}
        for key, mask in (("reference", plane.reference), ("prediction", plane.prediction))
    }
    logger.log_image(name, [plane.image], step=step, caption=[plane.caption], masks=[masks])


def _has_results(logger: Logger) -> bool:
    if isinstance(logger, WandbLogger):
        return bool(logger.experiment.resumed and "final/dice" in dict(logger.experiment.summary))
    if isinstance(logger, MLFlowLogger):
        return "final/dice" in logger.experiment.get_run(logger.run_id).data.metrics
    return False
