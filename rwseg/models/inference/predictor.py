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
from rwseg.data.preprocessing.volume import prepare_volume
from rwseg.models.inference.inference_spec import InferenceSpec
from rwseg.models.inference.sliding_window import most_probable
from rwseg.models.inference.whole_volumes import native_probabilities
from rwseg.models.unet import UNet


@dataclass(frozen=True)
class Predictor:
    """A run's network in evaluation mode on its device, and what it needs to predict.

    `config` is the run's own configuration, which only the caller reads; `flips` says whether it averages
    over mirror images.
    """

    folder: Path
    config: Any
    data: InferenceSpec
    network: UNet
    flips: bool

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def probabilities(self, loaded: LoadedCase) -> Iterator[Tensor]:
        """Class probabilities `(K, H, W)` of a case, slice by slice, on its native grid, on the device.

        The case is prepared by the run's preprocessing. Raises `DataError` where it cannot be.
        """
        volume = prepare_volume(loaded, self.data.preprocessing, len(self.data.classes))
        image = torch.from_numpy(volume.image).to(self.device)
        shape = loaded.image.shape[1:]
        return native_probabilities(
            self.network, image, shape, volume.crop, self.data.patch_size, self.flips, volume.padding
        )


def predict_case(members: Sequence[Predictor], loaded: LoadedCase) -> NDArray[np.uint8]:
    """Label map `(Z, H, W)` on the native grid: the class of the largest mean softmax over the members."""
    return most_probable([member.probabilities(loaded) for member in members])
