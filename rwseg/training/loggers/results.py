"""What a tracker is told when training is over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rwseg.models.inference.whole_volumes import validation_metrics
from rwseg.training.planes import fullest_slice, levels


class Overlay(NamedTuple):
    """A validation case on the prepared grid: image, reference and prediction `(Z, H, W)`.

    The image is as `rwseg.data.display` has it; what nobody labelled is background.
    """

    name: str
    image: NDArray[np.float32]
    reference: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


class Plane(NamedTuple):
    """One slice, to be shown: the image in 0..255, `(H, W)` or in colours, reference and prediction."""

    caption: str
    image: NDArray[np.uint8]
    reference: NDArray[np.uint8]
    prediction: NDArray[np.uint8]


@dataclass(frozen=True)
class Results:
    """The end of a run after `steps` steps; `cases` as in `cases.csv`, `seconds` those of all epochs.

    `policy` is that on missed and spurious structures (`evaluation.missed`).
    """

    steps: int
    cases: pd.DataFrame
    classes: tuple[str, ...]
    overlays: tuple[Overlay, ...]
    seconds: float
    device: str
    commit: str
    policy: str

    def metrics(self) -> dict[str, float]:
        """`final/dice`, `final/dice_<class>`, `final/missed`, ... as validation logs them, and seconds."""
        means = validation_metrics(self.cases)
        final = {f"final/{key.removeprefix('val/')}": value for key, value in means.items()}
        return {**final, "final/seconds": self.seconds}


def results(
    folder: Path,
    facts: Mapping[str, object],
    steps: int,
    cases: pd.DataFrame,
    classes: Sequence[str],
    overlays: Sequence[Overlay],
    policy: str,
) -> Results:
    """The results of the run in `folder`, whose `epochs.csv` is written; `facts` are its `run.json`."""
    epochs = pd.read_csv(folder / "metrics" / "epochs.csv")
    return Results(
        steps=steps,
        cases=cases,
        classes=tuple(classes),
        overlays=tuple(overlays),
        seconds=float(epochs["seconds"].sum()),
        device=str(facts["device"]),
        commit=str(facts["git_commit"]),
        policy=policy,
    )


def shown_plane(overlay: Overlay) -> Plane:
    """The slice with most reference foreground."""
    z = fullest_slice(overlay.reference)
    caption = f"{overlay.name}, slice {z + 1} of {len(overlay.image)}"
    return Plane(caption, levels(overlay.image)[z], overlay.reference[z], overlay.prediction[z])
