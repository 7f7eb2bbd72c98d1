"""Which patches are cut in which training step, and what they need of slices that are not on the device.

Nothing of Lightning is imported here: processes that read from disk start with it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rwseg.data.augmentation.batches import loader_size, windows_read
from rwseg.data.augmentation.config import AugmentConfig
from rwseg.data.augmentation.draws import STREAM, draws_per_sample
from rwseg.data.sampling.patches import Boxes, Floats, Ints, Sampler, Size, uniforms
from rwseg.data.sampling.staging import Staged, stage
from rwseg.data.sampling.stores import Store


class Drawn(NamedTuple):
    """The patches of a step, the uniform numbers of their augmentation `(B, D)`, and their cases `(B,)`."""

    boxes: Boxes
    draws: Floats
    cases: Ints


@dataclass(frozen=True)
class TrainingSteps:
    """All that is random of training steps, a function of seed and step alone.

    `share` are the samples of a batch of `batch_size` that are this process's, `oversampled` says which of
    these show foreground.
    """

    sampler: Sampler
    seed: int
    batch_size: int
    share: slice
    oversampled: NDArray[np.bool_]
    patch: Size
    augment: AugmentConfig
    channels: int

    def first_sample(self, step: int) -> int:
        """The number of the first sample that this process draws in `step`."""
        return step * self.batch_size + int(self.share.start)

    def draw(self, step: int) -> Drawn:
        """The patches of `step` (counted over all epochs)."""
        first, size = self.first_sample(step), self.share.stop - self.share.start
        loader = loader_size(self.augment.spatial, self.patch)
        boxes = self.sampler.boxes(
            uniforms(self.seed, first, size), self.oversampled, self.patch, self.augment.flips, loader
        )
        draws = uniforms(self.seed, first, size, draws_per_sample(self.channels), STREAM)
        return Drawn(boxes, draws, self.sampler.case_of_slice[boxes.slices])


def staged_step(steps: TrainingSteps, store: Store, step: int) -> Staged:
    """The patches of `step`, read from `store`."""
    boxes, draws, cases = steps.draw(step)
    sizes = steps.sampler.sizes[boxes.slices]
    windows = windows_read(sizes, boxes, draws, steps.augment.spatial, steps.patch)
    boxes, flat = stage(store, sizes, boxes, steps.patch, windows)
    return Staged(step, boxes, draws, cases, sizes, flat)
