"""A whole training step against nnU-Net v2's, interleaved in one process.

    python -m benchmarks.training_step_nnunet [--rounds 5] [--threads 2] [override ...]

The configuration is that of the overrides; without any, the paper's network and batch on ACDC where
RWSEG_DATA is set, else the phantom's. Both sides sample, augment and train the network of the configuration,
with deep supervision, on batches of one size from slices in memory. Ours: `rwseg`'s batch with its cached
map, RRW loss, clipping, Adam.
nnU-Net's, all its own code: its crops and transforms, `PlainConvUNet`, Dice + cross entropy, clipping, SGD
with momentum; its defaults, but for its worker processes: what they would do beside the training is done in
the step here, as ours is, and its torch.compile, which takes a minute. On a CPU nnU-Net trains in 32 bit, on
a GPU with 16-bit autocast; `x` is against that. 32 bit on a GPU is PyTorch's: convolutions in TF32.

The rows "network" leave out the batch: divided by the row of the whole step they give the network's share.
nnU-Net is no dependency: `pip install nnunetv2`. Without it the rows are ours, beside ours in 32 bit.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.augmentation import slices_of
from benchmarks.timing import Work, paired, parser, report
from rwseg.data.datamodule import SliceDataModule
from rwseg.data.sampling.slice_cache import Batch
from rwseg.experiments.build import build_data, build_learner
from rwseg.experiments.composition import compose
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.config.validation import check
from rwseg.experiments.device import has_bf16
from rwseg.experiments.prepared_run import PreparedRun, prepare_run
from rwseg.losses import head_weights, supervised_loss

PEER = "nnU-Net v2"


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("A whole training step against nnU-Net v2's.")
    options.set_defaults(threads=2, rounds=5)
    options.add_argument("overrides", nargs="*")
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    overrides = given.overrides or (["dataset=acdc"] if os.environ.get("RWSEG_DATA") else [])
    device = torch.device(given.device)
    run, data = opened(["augment=nnunet", "loss=rrw", *overrides], device)
    works, left_out = own_works(run, data, device), lacking(device)
    if find_spec("nnunetv2") is None:
        left_out.append(f"{PEER}: expected the package nnunetv2, found none; pip install nnunetv2")
    else:
        works |= peer_works(run.cfg, data, device)
    rows = paired(works, PEER if PEER in works else "rwseg, fp32", given.rounds)
    shape = "x".join(str(size) for size in (data.batch_size, *data.patch_size))
    title = f"{run.cfg.dataset.name}, training step on {device.type}, {shape}"
    report({title: rows}, given.threads, given.json, left_out=left_out)


def opened(overrides: Sequence[str], device: torch.device) -> tuple[PreparedRun, SliceDataModule]:
    """The run of `overrides`, its data prepared and read; cuDNN may choose kernels, as both sides let it."""
    torch.backends.cudnn.benchmark = True
    run = prepare_run(check(compose("train", overrides)[0]))
    data = build_data(run)
    data.prepare_data()
    data.training_batch(0, device)  # reads the arrays
    return run, data


def lacking(device: torch.device) -> list[str]:
    """What is left out where bfloat16 is not computed."""
    if has_bf16(device):
        return []
    return ["rwseg, bf16: expected instructions for bfloat16, which this processor or GPU lacks"]


def own_works(run: PreparedRun, data: SliceDataModule, device: torch.device) -> dict[str, Work]:
    works: dict[str, Work] = {}
    for name, low in {"fp32": False, "bf16": True}.items():
        if low and not has_bf16(device):
            continue
        precision = torch.autocast(device.type, torch.bfloat16, enabled=low)
        train = own_training(run, device, precision)
        steps, fixed = count(), data.training_batch(0, device)
        works[f"rwseg, {name}"] = lambda train=train, steps=steps: train(
            data.training_batch(next(steps), device)
        )
        works[f"rwseg, {name}, network"] = lambda train=train, fixed=fixed: train(fixed)
    return works


def own_training(run: PreparedRun, device: torch.device, precision: AbstractContextManager[Any]) -> Any:
    """What a training does with a batch."""
    learner = build_learner(run).to(device).train()
    optimizer = learner.configure_optimizers()["optimizer"]

    def train(batch: Batch) -> None:
        with precision:
            outputs = learner.network(batch.image)
            weights = head_weights(len(outputs))
            loss = supervised_loss(learner.loss, outputs, batch.labels, batch.region_map, weights=weights)
        finish(loss, learner.network, optimizer)

    return train


def peer_works(cfg: TrainConfig, data: SliceDataModule, device: torch.device) -> dict[str, Work]:
    train, batches = peer_training(cfg, data, device), peer_batches(cfg, data, device)
    fixed = batches()
    return {PEER: lambda: train(*batches()), f"{PEER}, network": lambda: train(*fixed)}


def peer_training(cfg: TrainConfig, data: SliceDataModule, device: torch.device) -> Any:
    from dynamic_network_architectures.architectures.unet import PlainConvUNet
    from nnunetv2.training.loss.compound_losses import DC_and_CE_loss
    from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
    from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

    model = cfg.model
    strides = [[1, 1], *(list(pool) for pool in model.pools)]
    network = PlainConvUNet(
        input_channels=len(data.prepared.channels),
        n_stages=len(strides),
        features_per_stage=[min(model.features * 2**i, model.max_features) for i in range(len(strides))],
        conv_op=nn.Conv2d,
        kernel_sizes=[[3, 3]] * len(strides),
        strides=strides,
        n_conv_per_stage=model.convs_per_stage,
        num_classes=len(data.prepared.classes),
        n_conv_per_stage_decoder=model.convs_per_stage,
        conv_bias=True,
        norm_op=nn.InstanceNorm2d,
        norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU,
        nonlin_kwargs={"inplace": True},
        deep_supervision=True,
    )
    network.apply(network.initialize)
    network.to(device).train()
    dice = {"batch_dice": True, "smooth": 1e-5, "do_bg": False, "ddp": False}
    loss = DC_and_CE_loss(dice, {}, weight_ce=1, weight_dice=1, dice_class=MemoryEfficientSoftDiceLoss)
    heads = np.array([0.5**level for level in range(len(model.pools))])
    heads[-1] = 0  # nnU-Net does not use the lowest one
    supervised = DeepSupervisionWrapper(loss, heads / heads.sum())
    optimizer = torch.optim.SGD(network.parameters(), 1e-2, weight_decay=3e-5, momentum=0.99, nesterov=True)
    precision = torch.autocast(device.type) if device.type == "cuda" else nullcontext()

    def train(image: Tensor, targets: list[Tensor]) -> None:
        with precision:
            value = supervised(network(image), targets)
        finish(value, network, optimizer)

    return train


def finish(loss: Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """What both sides do alike after the loss; nothing is scaled, so that both are timed without it."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 12.0)
    optimizer.step()


def peer_batches(cfg: TrainConfig, data: SliceDataModule, device: torch.device) -> Any:
    """nnU-Net's crops and transforms, sample by sample as in its loader."""
    from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd
    from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    patch = data.patch_size
    turn = np.pi * (1 if max(patch) <= 1.5 * min(patch) else 15 / 180)
    turns = (-turn, turn)
    scales = (1 / np.cumprod(np.array([list(pool) for pool in cfg.model.pools]), axis=0))[:-1]
    transforms = nnUNetTrainer.get_training_transforms(
        np.array(patch), turns, [[1.0, 1.0], *scales.tolist()], (0, 1), do_dummy_2d_data_aug=False
    )
    size = [int(side) for side in get_patch_size(np.array(patch), turns, turns, turns, (0.85, 1.25))]
    samples = [{key: sample[key].cpu().numpy() for key in ("image", "label")} for sample in slices_of(data)]
    with_foreground = [number for number, sample in enumerate(samples) if sample["label"].any()]
    generator = np.random.default_rng(0)

    def sample(force: bool) -> dict[str, Any]:
        chosen = samples[generator.choice(with_foreground if force else len(samples))]
        if force:
            pixels = np.argwhere(chosen["label"][0])
            corner = pixels[generator.integers(len(pixels))] - np.array(size) // 2
        else:
            rest = np.array(chosen["label"].shape[1:]) - size
            corner = np.array([generator.integers(min(0, r // 2), max(0, r) + 1) for r in rest])
        box = [[int(start), int(start) + side] for start, side in zip(corner, size, strict=True)]
        image = torch.from_numpy(crop_and_pad_nd(chosen["image"], box, 0)).float()
        labels = torch.from_numpy(crop_and_pad_nd(chosen["label"].astype(np.int16), box, -1))
        made: dict[str, Any] = transforms(image=image, segmentation=labels)
        return made

    def batch() -> tuple[Tensor, list[Tensor]]:
        with torch.no_grad():
            made = [sample(force) for force in data.oversampled]
        image = torch.stack([item["image"] for item in made]).to(device)
        targets = [
            torch.stack(level).to(device) for level in zip(*(i["segmentation"] for i in made), strict=True)
        ]
        return image, targets

    return batch


if __name__ == "__main__":
    main()
