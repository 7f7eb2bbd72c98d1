"""The Lightning module: a network, a loss, and how they are optimised."""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from pytorch_lightning.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from rwseg.core.errors import ConfigError
from rwseg.data.datamodule import ValidationVolume
from rwseg.data.sampling.slice_cache import Batch
from rwseg.losses import (
    CombinedLoss,
    head_weights,
    loss_at_perfect,
    supervised_loss,
    weighted_map,
    without_ignored,
)
from rwseg.maps import RectifiedMap
from rwseg.metrics import MissedPolicy
from rwseg.models.inference.metrics_pool import MetricsPool
from rwseg.models.inference.reliability import counted_labels, no_counts, reliability_of
from rwseg.models.inference.sliding_window import predict_slices, to_native
from rwseg.models.inference.whole_volumes import WINDOW_BATCH, case_table, validation_metrics
from rwseg.models.own_network import OwnNetwork
from rwseg.models.unet import UNet
from rwseg.training.callbacks.map_weights import batch_weights
from rwseg.training.diagnostics.loss_monitor import epoch_means, measure
from rwseg.training.diagnostics.stability import CollapseWatch

log = logging.getLogger(__name__)


class Learner(pl.LightningModule):
    """Trains `network` with `loss`; validates on whole volumes on the native grid.

    `optimizer` makes the optimizer of the network's parameters, `schedule` what Lightning is told of that
    optimizer's learning rate (`rwseg.experiments.optimisation`). Heads are weighed as in nnU-Net.
    Random numbers that a network draws in training, as dropout does, follow from `seed`, epoch and process.

    Logs per epoch `train/loss`, the means of `loss_monitor.measure` over each `measure_every`-th batch, those
    of `whole_volumes.validation_metrics`, and `val/loss` and `val/loss_gap`: the full-resolution loss on some
    slices of each validation volume, with the map of training. Loggers get these from the table of epochs,
    which has each of them once. Pixels labelled `ignore` do not train. `cases` holds the rows of the last
    validation, `reliability` its bins of confidence, `cases_epoch` its epoch. Warns of a class that
    `patience` validations in a row found in the reference and nowhere in the predictions.
    `metrics_processes` measure volumes while the network predicts the next (`MetricsPool`). Where several
    processes train it together, each has its share of a batch and of the volumes, and all of them log the
    same.
    """

    def __init__(
        self,
        network: UNet | OwnNetwork,
        loss: CombinedLoss,
        classes: Sequence[str],
        patch_size: tuple[int, int],
        optimizer: Callable[[Iterable[Parameter]], Optimizer],
        schedule: Callable[[Optimizer], LRSchedulerConfigType],
        seed: int,
        flips: bool,
        missed: MissedPolicy,
        measure_every: int,
        patience: int,
        ignore: int | None,
        metrics_processes: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.classes = tuple(classes)
        self.patch_size = patch_size
        self.optimizer = optimizer
        self.schedule = schedule
        self.seed = seed
        self.flips = flips
        self.missed: MissedPolicy = missed
        self.measure_every = measure_every
        self.ignore = ignore
        self.measurements: list[dict[str, Tensor]] = []
        self.watch = CollapseWatch(self.classes[1:], patience)
        self.metrics_pool = MetricsPool(metrics_processes)
        self.validation_losses: list[tuple[float, float]] = []
        self.counts = no_counts(torch.device("cpu"))
        self.cases: pd.DataFrame | None = None
        self.reliability: pd.DataFrame | None = None
        self.cases_epoch = -1
        self.is_told = False  # of a loss that is no number

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimizer, and the schedule of its learning rate."""
        weights = [*self.network.parameters(), *self.loss.parameters()]  # a user's loss may have some
        optimizer = self.optimizer(weights)
        return {"optimizer": optimizer, "lr_scheduler": self.schedule(optimizer)}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients of the whole batch, in 16-bit training the unscaled ones.

        Lightning leaves unscaling to a fused optimizer, which does it after clipping; it refuses the two
        together. Any other one has its gradients unscaled by now.
        """
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            scaler.unscale_(optimizer)
        if gradient_clip_val is not None and gradient_clip_algorithm == "value":
            torch.nn.utils.clip_grad_value_(self.network.parameters(), gradient_clip_val)
        elif gradient_clip_val is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Take a step; one that waits for a plateau has taken it in `on_train_epoch_end`."""
        if metric is None:
            scheduler.step()

    def on_train_epoch_end(self) -> None:
        """Tell a schedule that waits for a plateau what it monitors, before the checkpoint is written."""
        self._warn_of_no_number(float(self.trainer.callback_metrics["train/loss"]))
        if self.cases_epoch != self.current_epoch:
            return
        metrics = self.trainer.callback_metrics
        for config in self.trainer.lr_scheduler_configs:
            if not isinstance(config.scheduler, ReduceLROnPlateau):
                continue
            if config.monitor not in metrics:
                names = ", ".join(sorted(metrics))
                raise ConfigError(f"schedule.lr.monitor={config.monitor}: expected one of {names}")
            config.scheduler.step(float(metrics[config.monitor]))

    def on_train_epoch_start(self) -> None:
        """Tell the loss the epoch: its strategy may depend on it, and it cannot know."""
        self.loss.set_epoch(self.current_epoch)
        own = np.random.SeedSequence([self.seed, self.current_epoch, self.global_rank])
        torch.manual_seed(int(own.generate_state(1)[0]))
        self.measurements = []

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The supervised loss of a batch over all heads."""
        outputs = self.network(batch.image)
        heads = head_weights(len(outputs), self.network.deepest_head_counts)
        of_map = batch_weights(self.trainer, batch)
        how: Any = {"weights": heads, "ignore": self.ignore, "map_weights": of_map}
        loss = supervised_loss(self.loss, outputs, batch.labels, batch.region_map, **how)
        self._log({"train/loss": loss.detach()})
        if batch_idx % self.measure_every == 0:
            self.measurements.append(self._measured(outputs[0].detach(), batch, of_map))
        if (
            batch_idx + 1 == self.trainer.num_training_batches
        ):  # later hooks come after the callbacks that read them
            self._log(epoch_means(self.measurements))
        return loss

    def _log(self, values: dict[str, Any]) -> None:
        """Have means over an epoch in `trainer.callback_metrics`."""
        several = self.trainer.world_size > 1
        self.log_dict(values, on_step=False, on_epoch=True, logger=False, sync_dist=several, batch_size=1)

    def _measured(self, logits: Tensor, batch: Batch, of_map: Tensor | None) -> dict[str, Tensor]:
        """What `measure` says of the whole batch."""
        logits, labels, region_map = self._whole(logits), self._whole(batch.labels), batch.region_map
        if isinstance(region_map, RectifiedMap):
            region_map = RectifiedMap(*(self._whole(part) for part in region_map))
        elif region_map is not None:
            region_map = self._whole(region_map)
        if self.ignore is not None:
            logits, labels = without_ignored(logits, labels, self.ignore)
        if of_map is None:
            return measure(self.loss, logits, labels, region_map, self.classes)
        weighted = weighted_map(self.loss, labels, logits.shape[1], region_map, self._whole(of_map))
        return measure(self.loss, logits, labels, weighted, self.classes)

    def _whole(self, share: Tensor) -> Tensor:
        """The shares `(B / processes, ...)` of all processes, in the order of the batch: `(B, ...)`."""
        if self.trainer.world_size == 1:
            return share
        share = share.contiguous()
        shares = [torch.empty_like(share) for _ in range(self.trainer.world_size)]
        dist.all_gather(shares, share)
        return torch.cat(shares)

    def on_validation_epoch_start(self) -> None:
        """Forget the validation before."""
        self.metrics_pool.rows()  # of one that was left
        self.validation_losses, self.counts = [], no_counts(self.device)

    def validation_step(self, volumes: Sequence[ValidationVolume], batch_idx: int) -> None:
        """Predict whole volumes, whose slices have one size, and measure them."""
        image = torch.cat([volume.image for volume in volumes], dim=1)
        slices = predict_slices(self.network, image, self.patch_size, self.flips, WINDOW_BATCH)
        for volume in volumes:
            self._measure(volume, islice(slices, volume.image.shape[1]))

    def _measure(self, volume: ValidationVolume, slices: Iterator[Tensor]) -> None:
        """Measure a volume by the probabilities of its slices, each let go after it is seen."""
        entry, kept = volume.entry, list[Tensor]()
        native = to_native(
            _keeping(slices, volume.target.slices, kept), entry.native_shape, entry.crop, entry.padding
        )
        prediction = counted_labels(native, volume.reference, self.counts)
        self.metrics_pool.add(prediction, volume.reference, entry, self.classes, self.missed)
        self.validation_losses.append(self._validation_loss(torch.stack(kept), volume))

    def _validation_loss(self, probabilities: Tensor, volume: ValidationVolume) -> tuple[float, float]:
        """The loss of `(B, K, H, W)`, and the part of it above that of a perfect prediction."""
        logits = probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()  # softmax gives them back
        labels, region_map = volume.target.labels, volume.target.region_map
        if self.ignore is not None:
            logits, labels = without_ignored(logits, labels, self.ignore)
        value = self.loss(logits, labels, region_map)
        perfect = loss_at_perfect(self.loss, labels, logits.shape[1], region_map)
        return float(value), float(value - perfect)

    def on_validation_epoch_end(self) -> None:
        """Log the means over cases."""
        self.cases = case_table(self._of_all(self.metrics_pool.rows()))
        self.cases_epoch = self.current_epoch
        self.reliability = reliability_of(self._of_all([self.counts.cpu()]))
        loss, gap = torch.tensor(self._of_all(self.validation_losses), dtype=torch.float64).mean(0).float()
        self._log({**validation_metrics(self.cases), "val/loss": loss, "val/loss_gap": gap})
        self._warn_of_lost_classes(self.cases)

    def _of_all(self, items: list[Any]) -> list[Any]:
        """The items of all processes, which may have any number of them."""
        if self.trainer.world_size == 1:
            return items
        parts: list[Any] = [None] * self.trainer.world_size
        dist.all_gather_object(parts, items)
        return [item for part in parts for item in part]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the count of validations without a class."""
        checkpoint["silent_validations"] = dict(self.watch.silent)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the count over."""
        self.watch.silent = dict(checkpoint["silent_validations"])

    def _warn_of_no_number(self, loss: float) -> None:
        """Once: nothing is learned from such a batch."""
        if not math.isfinite(loss) and not self.is_told:
            self.is_told = True
            log.warning(
                "train/loss of epoch %d is %s: expected a finite number in every batch; look at the loss's "
                "exponents and weights, and at the learning rate",
                self.current_epoch + 1,
                loss,
            )

    def _warn_of_lost_classes(self, cases: pd.DataFrame) -> None:
        voxels = cases.groupby("class_name")[["reference_voxels", "predicted_voxels"]].sum()
        reference, predicted = (
            {str(name): float(count) for name, count in voxels[column].items()} for column in voxels.columns
        )
        for name in self.watch.update(reference, predicted):
            log.warning(
                "class '%s' is in the reference but was predicted nowhere in %d validations in a row; "
                "look at train/wrong_sign_%s in epochs.csv, and see docs/theory.md",
                name,
                self.watch.silent[name],
                name,
            )


def _keeping(slices: Iterator[Tensor], wanted: Sequence[int], kept: list[Tensor]) -> Iterator[Tensor]:
    """Pass slices on, and put those whose numbers are `wanted` into `kept`."""
    for number, scores in enumerate(slices):
        if number in wanted:
            kept.append(scores)
        yield scores
