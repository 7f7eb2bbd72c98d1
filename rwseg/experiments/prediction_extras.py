"""What a prediction writes beside its label maps: pictures, probabilities, and where it is unsure."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rwseg.core.files import write_bytes
from rwseg.data.case import Case, LoadedCase
from rwseg.data.display import is_coloured
from rwseg.data.io.cases import write_share_map
from rwseg.data.io.pictures import is_picture
from rwseg.experiments.config.schema import PredictConfig
from rwseg.models.inference.case_maps import CaseMaps
from rwseg.models.inference.inference_spec import InferenceSpec
from rwseg.training.figures import case_picture


def wanted(cfg: PredictConfig) -> bool:
    """Whether anything is asked for beside the label maps."""
    return cfg.overlays or cfg.probabilities or cfg.uncertainty


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
        ending = ".png" if is_picture(like) else ".nii.gz"
        for kind in ("entropy", "disagreement"):
            values = getattr(maps, kind)
            if values is not None:
                write_share_map(output / kind / f"{case.name}{ending}", values, like, data.slice_axis)
    if cfg.overlays:
        _draw(output / "overlays" / f"{case.name}.png", data.classes, case, loaded, maps)


def _draw(path: Path, classes: Sequence[str], case: Case, loaded: LoadedCase, maps: CaseMaps) -> None:
    coloured = is_coloured(len(loaded.image), len(case.images), loaded.unit)
    image = loaded.image.transpose(1, 2, 3, 0) if coloured else loaded.image[0]
    aspect = loaded.spacing[1] / loaded.spacing[2]
    case_picture(image, None, maps.labels, classes, aspect, case.name, path)
