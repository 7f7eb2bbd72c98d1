"""A loss's gradient on the gallery's example: the share of wrong signs, and a picture of them."""

from pathlib import Path

import torch

from rwseg.losses import SegmentationLoss
from rwseg.losses.battery import Finding
from rwseg.report.figures.loss_gallery import Scene, draw_beside, example, gradient

SIGNS = "wrong signs"


def wrong_signs(loss: SegmentationLoss, classes: int, path: Path) -> Finding:
    """Draw labels, prediction and gradient to `path`; say how many pixels are pushed in a wrong direction."""
    scene = with_classes(example(), classes)
    push, wrong = gradient(loss, scene)
    draw_beside(scene, push, wrong, path)
    share = float(wrong.double().mean())
    found = f"{share:.1%} of the pixels of {path}"
    if share == 0:
        return Finding(SIGNS, "pass", found)
    return Finding(
        SIGNS,
        "note",
        found,
        "hatched there: the true class is not pushed up, or another one is. Training finds its way around "
        "some, not always: compare seeds, look at train/wrong_sign in epochs.csv (docs/theory.md)",
    )


def with_classes(scene: Scene, classes: int) -> Scene:
    """The scene of three classes, in float32, for any number: further ones are absent and improbable."""
    logits, labels = scene.logits.float(), scene.labels
    if classes == 2:
        return Scene(logits[:, :2].contiguous(), labels.clamp(max=1))
    further = logits.new_full((1, max(0, classes - 3), *logits.shape[2:]), float(logits.min()))
    return Scene(torch.cat([logits, further], 1), labels)
