"""A training step never makes the host wait for the device: no value is fetched, no size depends on values.

No GPU is needed: what would wait is refused as an operator, or run on tensors that hold no values.
"""

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.utils._python_dispatch import TorchDispatchMode

from rwseg.data.datamodule import SliceDataModule
from rwseg.data.training_slices import DeviceSlices
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.composition import compose
from rwseg.experiments.config.validation import check
from rwseg.experiments.prepared_run import prepare_run
from rwseg.losses import head_weights, supervised_loss
from rwseg.training.lightning_module import Learner

META = torch.device("meta")
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "_unique2", "equal.default")
"""Operators whose result a host must have before it can go on."""


def parts(tiny: list[str], *overrides: str) -> tuple[Learner, SliceDataModule]:
    cfg = check(compose("train", [*tiny, *overrides])[0])
    run = prepare_run(cfg)
    data = build_data(run)
    data.prepare_data()
    return build_learner(run), data


def waits(func: Any, args: Any) -> bool:
    """Whether an operator waits; a boolean index is looked for in the kernel, where no mode sees it."""
    indices = args[1] if "aten.index" in str(func) and isinstance(args[1], list | tuple) else []
    masks = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)
    return masks or any(name in str(func) for name in WAITING)


class Refusing(TorchDispatchMode):
    """Refuses operators that wait, while `armed`, and counts all others."""

    def __init__(self) -> None:
        super().__init__()
        self.armed = False
        self.seen = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.armed:
            self.seen += 1
            assert not waits(func, args), f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


class Armed(pl.Callback):
    """Arms the mode from the moment a batch is there until its step is done."""

    def __init__(self, mode: Refusing) -> None:
        self.mode = mode
        self.steps = 0

    def on_train_batch_start(self, *_: Any) -> None:
        self.mode.armed = True

    def on_train_batch_end(self, *_: Any) -> None:
        self.mode.armed = False
        self.steps += 1


@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.* is deprecated")
def test_no_operator_of_a_step_fetches_a_value(tiny: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    # The check of labels looks at their values on a CPU only.
    monkeypatch.setattr("rwseg.core.validation._check_values", lambda *_: None)
    learner, data = parts(tiny, "loss=rrw", "stability.every=2")
    mode = Refusing()
    armed = Armed(mode)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_val_batches=0,
        gradient_clip_val=12.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[armed],
    )
    with mode:
        trainer.fit(learner, datamodule=data)
    assert armed.steps == 4
    assert mode.seen > 400  # a forward and a backward pass each


def test_the_mode_notices_what_waits() -> None:
    mode = Refusing()
    with mode:
        torch.ones(2).sum().item()
        mode.armed = True
        with pytest.raises(AssertionError, match="_local_scalar_dense"):
            torch.ones(2).sum().item()
        with pytest.raises(AssertionError, match=r"aten.index.Tensor waits"):
            torch.ones(2)[torch.ones(2) > 0]


class Copies(TorchDispatchMode):
    """Collects copies from the host to a device, and whether the host waits for them."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[str] = []
        self.going_on = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if "_to_copy" in str(func) and args[0].device.type == "cpu" and kwargs.get("device") == META:
            if kwargs.get("non_blocking"):
                self.going_on += 1
            else:
                self.waiting.append(f"{func} of {tuple(args[0].shape)}")
        return func(*args, **kwargs)


@pytest.mark.parametrize(
    ("loss", "augment"),
    [("rrw", "nnunet"), ("rw_boundary", "flips"), ("dice_ce", "none"), ("focal", "none")],
)
def test_a_step_needs_no_values_and_waits_for_no_copy(tiny: list[str], loss: str, augment: str) -> None:
    """Batch, network, loss and gradients on tensors without values.

    As on a GPU, nothing may ask for a value (PyTorch refuses), and all must be on one device.
    """
    learner, data = parts(tiny, f"loss={loss}", f"augment={augment}")
    data.training_batch(0, torch.device("cpu"))
    assert isinstance(data.slices, DeviceSlices)
    slice_cache = data.slices.cache
    slice_cache.flat = slice_cache.flat.each(lambda part: part.to(META))
    learner = learner.to(META).train()
    copies = Copies()
    with copies:
        for step in range(1, 4):
            batch = data.training_batch(step, META)
            outputs = learner.network(batch.image)
            weights = head_weights(len(outputs))
            value = supervised_loss(learner.loss, outputs, batch.labels, batch.region_map, weights=weights)
            value.backward()
    assert value.device == META
    assert copies.going_on > 5
    assert copies.waiting == []


def test_a_copy_that_waits_is_noticed() -> None:
    copies = Copies()
    with copies:
        torch.ones(2, 3).to(META)
        torch.ones(2).to(META, non_blocking=True)
    assert (copies.going_on, copies.waiting) == (1, ["aten._to_copy.default of (2, 3)"])


def test_gradients_are_unscaled_before_they_are_clipped(tiny: list[str]) -> None:
    """Loss scaling, clipping and fused Adam together, against clipping and Adam written out."""
    learner, data = parts(tiny, "loss=rrw")
    batch = data.training_batch(0, torch.device("cpu"))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    trainer = SimpleNamespace(precision_plugin=plugin)
    learner._trainer = trainer  # type: ignore[assignment]
    optimizer = learner.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Adam)
    (group,) = optimizer.param_groups
    before = [p.detach().clone() for p in learner.network.parameters()]

    def value() -> torch.Tensor:
        outputs = learner.network(batch.image)
        weights = head_weights(len(outputs))
        return supervised_loss(learner.loss, outputs, batch.labels, batch.region_map, weights=weights)

    parameters = list(learner.network.parameters())
    plain = torch.autograd.grad(value(), parameters, allow_unused=True)  # the lowest head has weight 0
    norm = torch.stack([part.norm() for part in plain if part is not None]).norm()
    limit = 0.1 * float(norm)
    scaler.scale(value()).backward()
    learner.configure_gradient_clipping(optimizer, limit)
    used = 0
    for parameter, gradient in zip(parameters, plain, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, 0.1 * gradient, rtol=1e-3, atol=1e-6 * limit)
            used += 1
    assert used > 20
    scaler.step(optimizer)
    for parameter, old in zip(parameters, before, strict=True):
        if parameter.grad is not None:
            decayed = parameter.grad + group["weight_decay"] * old
            expected = old - group["lr"] * decayed / (decayed.abs() + 1e-8)  # Adam's first step
            torch.testing.assert_close(parameter.detach(), expected, rtol=1e-4, atol=1e-6)
