"""A trained run, or several of them as an ensemble, ready to predict volumes that it never saw."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rwseg.data.case import LoadedCase
from rwseg.data.preprocessing.image_codes import as_stored
from rwseg.data.preprocessing.volume import prepare_volume
from rwseg.models.inference.any_size import AnySizeNetwork
from rwseg.models.inference.inference_spec import InferenceSpec
from rwseg.models.inference.new_image import Image, NewImage, check_not_converted, new_image
from rwseg.models.inference.sliding_window import most_probable
from rwseg.models.inference.whole_volumes import native_probabilities


@dataclass(frozen=True, repr=False)
class Predictor:
    """A trained run: it predicts arrays and files of any size, prepared as its training data were.

    `network` is the trained network as a plain function, in evaluation mode, on its device: prepared images
    `(B, C, H, W)` of any size to logits `(B, K, H, W)`. `config` is the run's own configuration
    (`rwseg.experiments.config.schema.TrainConfig`), with nothing left to plan; `data` what it knew of its
    data; `flips` says whether predictions average over mirror images, as the run's validation.

    An image is an array `(C, [Z,] H, W)` of NumPy or PyTorch, not normalised, its channels those of
    `data.channels`; or a file, or one file per channel, NIfTI or picture as the run was trained on. `spacing`
    of an array is in mm per spatial axis, None for pixels that have no physical size, as those of pictures;
    a file has its own. Results are on the image's grid, with Z where the image has it; of a NIfTI file the
    slice axis comes first. Both methods raise `ValueError` where an array or its spacing does not fit the
    run, `DataError` for a file that cannot be read or an image that cannot be prepared, and `RunError` for a
    file where the run's dataset rewrote its files before training.
    """

    folder: Path
    config: Any
    data: InferenceSpec
    network: AnySizeNetwork
    flips: bool

    def __repr__(self) -> str:
        return (
            f"Predictor({str(self.folder)!r}: {', '.join(self.data.channels)} -> {', '.join(self.classes)}; "
            f"on {self.device})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by label, the background first."""
        return self.data.classes

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def predict(self, image: Image, spacing: Sequence[float] | None = None) -> NDArray[np.uint8]:
        """Label map `([Z,] H, W)`: the most probable class of each pixel; image and errors as in the class.

        It is what `rwseg evaluate` and `rwseg predict` write for the same image in 32-bit precision, but for
        the values that `data.written` has for the classes in their files.
        """
        new = self._new(image, spacing)
        labels = predict_case([self], new.case)
        return labels[0] if new.planar else labels

    def probabilities(self, image: Image, spacing: Sequence[float] | None = None) -> NDArray[np.float32]:
        """Class probabilities `(K, [Z,] H, W)`, which sum to 1; image and errors as in the class.

        Where the preprocessing cuts the image, the background is certain outside of what is left.
        """
        new = self._new(image, spacing)
        slices = [scores.cpu().numpy() for scores in self.slices(new.case)]
        return slices[0] if new.planar else np.stack(slices, axis=1)

    def slices(self, loaded: LoadedCase) -> Iterator[Tensor]:
        """Class probabilities `(K, H, W)` of a case, slice by slice, on its native grid, on the device.

        The case is prepared by the run's preprocessing. Raises `DataError` where it cannot be.
        """
        volume = prepare_volume(loaded, self.data.preprocessing, len(self.classes))
        image = torch.from_numpy(as_stored(volume.image, loaded.image)).to(self.device)
        shape = loaded.image.shape[1:]
        return native_probabilities(
            self.network.network, image, shape, volume.crop, self.data.patch_size, self.flips, volume.padding
        )

    def _new(self, image: Image, spacing: Sequence[float] | None) -> NewImage:
        if not isinstance(image, np.ndarray | Tensor):
            check_not_converted(self.data, self.folder)
        return new_image(image, spacing, self.data)


def predict_case(members: Sequence[Predictor], loaded: LoadedCase) -> NDArray[np.uint8]:
    """Label map `(Z, H, W)` on the native grid: the class of the largest mean softmax over the members."""
    return most_probable([member.slices(loaded) for member in members])
