"""What a prediction writes beside its label maps: pictures, probabilities, and where it is unsure."""

import io
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from rwseg.core.files import write_bytes
from rwseg.data.case import Case, LoadedCase
from rwseg.data.display import is_coloured
from rwseg.data.io.cases import write_share_map
from rwseg.data.io.pictures import is_picture
from rwseg.experiments.config.schema import PredictConfig
from rwseg.models.inference.case_maps import CaseMaps
from rwseg.models.inference.folder import Extras
from rwseg.models.inference.inference_spec import InferenceSpec
from rwseg.models.inference.predictor import Predictor
from rwseg.training.figures import case_picture


def extras_of(cfg: PredictConfig, members: Sequence[Predictor]) -> Extras | None:
    """What `cfg` asks for beside the label maps; None where it asks for nothing."""
    if not (cfg.overlays or cfg.probabilities or cfg.uncertainty):
        return None
    return Extras(partial(write_extras, cfg, members[0].data), partial(_paths, cfg, len(members) > 1))


def _paths(cfg: PredictConfig, several: bool, case: Case) -> list[Path]:
    """What `write_extras` writes for a case, by one run or by several."""
    names = [f"probabilities/{case.name}.npz"] if cfg.probabilities else []
    if cfg.uncertainty:
        kinds = ("entropy", "disagreement") if several else ("entropy",)
        names += [f"{kind}/{case.name}{_ending(case)}" for kind in kinds]
    names += [f"overlays/{case.name}.png"] if cfg.overlays else []
    return [Path(cfg.output) / name for name in names]


def _ending(case: Case) -> str:
    return ".png" if is_picture(case.images[0]) else ".nii.gz"


def write_extras(
    cfg: PredictConfig, data: InferenceSpec, case: Case, loaded: LoadedCase, maps: CaseMaps
) -> None:
    """Write what `cfg` asks for of a case into folders of `cfg.output`."""
    output, like = Path(cfg.output), case.images[0]
    if cfg.probabilities:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, probabilities=maps.probabilities)
        write_bytes(output / "probabilities" / f"{case.name}.npz", buffer.getvalue())
    if cfg.uncertainty:
        for kind in ("entropy", "disagreement"):
            values = getattr(maps, kind)
            if values is not None:
                write_share_map(output / kind / f"{case.name}{_ending(case)}", values, like, data.slice_axis)
    if cfg.overlays:
        _draw(output / "overlays" / f"{case.name}.png", data.classes, case, loaded, maps)


def _draw(path: Path, classes: Sequence[str], case: Case, loaded: LoadedCase, maps: CaseMaps) -> None:
    coloured = is_coloured(len(loaded.image), len(case.images), loaded.unit)
    image = loaded.image.transpose(1, 2, 3, 0) if coloured else loaded.image[0]
    aspect = loaded.spacing[1] / loaded.spacing[2]
    case_picture(image, None, maps.labels, classes, aspect, case.name, path)
