"""What training says about its own loss, now and then: gap, terms, and gradients of the wrong sign."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rwseg.losses import CombinedLoss, FinalMap, RegionMap, loss_at_perfect
from rwseg.training.diagnostics.stability import gradient_wrong_signs, loss_terms

WRONG_SIGN = "train/wrong_sign"


def measure(
    loss: CombinedLoss,
    logits: Tensor,
    labels: Tensor,
    region_map: RegionMap | FinalMap | None,
    classes: Sequence[str],
) -> dict[str, Tensor]:
    """Measure a batch at the full-resolution head: logits `(B, K, *S)`, labels `(B, *S)`; scalars.

    `train/loss_gap`: the loss minus its value at the perfect prediction, >= 0.
    `train/wrong_sign_<class>`: the share of the class's pixels whose gradient does not push the true class
    up, or pushes another one up (NaN where the batch lacks the class).
    `train/<term>`, `train/<term>_gradient`: value and gradient norm of each term, before the strategy weighs
    them. Nothing here waits for a GPU.
    """
    detached = logits.detach()
    with torch.no_grad():
        gap = loss(detached, labels, region_map) - loss_at_perfect(loss, labels, logits.shape[1], region_map)
    wrong = gradient_wrong_signs(loss, detached, labels, region_map)  # (K,)
    found = {"train/loss_gap": gap}
    found |= {f"{WRONG_SIGN}_{name}": share for name, share in zip(classes, wrong, strict=True)}
    for name, term in loss_terms(loss, detached, labels, region_map).items():
        found |= {f"train/{name}": term.value, f"train/{name}_gradient": term.gradient_norm}
    return found


def epoch_means(measurements: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of each quantity over the measurements of an epoch, leaving out the batches that lack it.

    `train/wrong_sign` is the mean over classes of their means.
    """
    means = {name: torch.stack([found[name] for found in measurements]).nanmean() for name in measurements[0]}
    classes = [share for name, share in means.items() if name.startswith(f"{WRONG_SIGN}_")]
    return {**means, WRONG_SIGN: torch.stack(classes).nanmean()}
