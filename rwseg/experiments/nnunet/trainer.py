"""What the trainers for nnU-Net v2 share: its own trainer with a loss of rwseg in the place of its own."""

import json
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from torch import nn

from rwseg.core.errors import ConfigError
from rwseg.experiments.nnunet.asked import (
    Asked,
    check_same,
    schedule_in_environment,
    to_go_on_with,
    words_in_environment,
)
from rwseg.experiments.nnunet.head_loss import head_loss

KEY, SCHEDULE_KEY = "rwseg_loss", "rwseg_schedule"
"""Where the initial arguments in a checkpoint (`init_args`), and debug.json, hold what was asked for."""


class RwsegTrainer(nnUNetTrainer):
    """nnU-Net's trainer with the loss that `words` name; the rest of the training stays nnU-Net's.

    Deep supervision weighs heads as nnU-Net does, over the targets that its loaders subsample. Maps are made
    of them on their device, in the spacing of the plan. `words` are those of `rwseg check-loss` and a
    strategy; a subclass without words takes them from the environment. `rwseg_loss` is what was taken, in
    JSON; a checkpoint keeps it and goes on with it, and so it does with the settings of `RWSEG_SCHEDULE`.
    """

    words: tuple[str, ...] = ()
    rwseg_loss = ""
    rwseg_schedule: dict[str, int | float] | None = None

    def initialize(self) -> None:
        """Set what the schedule sets, before nnU-Net makes optimizer, network and loss."""
        if self.rwseg_schedule is None:
            self.rwseg_schedule = schedule_in_environment()
        for name, value in self.rwseg_schedule.items():
            setattr(self, name, value)
        self.my_init_kwargs[SCHEDULE_KEY] = self.rwseg_schedule
        super().initialize()

    def _build_loss(self) -> nn.Module:
        if self.label_manager.has_regions:
            raise ConfigError(
                f"{type(self).__name__}: expected labels of which a voxel has one, got regions that overlap "
                "(dataset.json); train regions with nnUNetTrainer"
            )
        saved: Asked | None = json.loads(self.rwseg_loss) if self.rwseg_loss else None
        asked = saved or to_go_on_with(None, self.words or words_in_environment(), self.output_folder)
        self.rwseg_loss = json.dumps(asked)
        self.my_init_kwargs[KEY] = asked
        ignore = self.label_manager.ignore_label
        own = head_loss(asked, self.configuration_manager.spacing, ignore).to(self.device)
        self.combined_loss = own.loss
        self.print_to_log_file(f"Loss of rwseg: {asked['words']}")
        if not self.enable_deep_supervision:
            return own
        wrapper: nn.Module = super()._build_loss()
        wrapper.loss = own  # the weights of the heads stay nnU-Net's
        return wrapper

    def load_checkpoint(self, filename_or_checkpoint: Any) -> None:
        """Go on with the loss of the checkpoint; `ConfigError` where another one is asked for."""
        saved = filename_or_checkpoint
        if isinstance(saved, str):
            saved = torch.load(saved, map_location="cpu", mmap=True, weights_only=False)
        kept = saved["init_args"]
        words = self.words or words_in_environment()
        self.rwseg_loss = json.dumps(
            to_go_on_with(kept.get(KEY), words, f"checkpoint of {self.output_folder}")
        )
        self.rwseg_schedule = schedule_in_environment() or kept.get(SCHEDULE_KEY)
        super().load_checkpoint(filename_or_checkpoint)

    def on_train_start(self) -> None:
        """Refuse a folder that holds the training of another loss, over which nnU-Net would write."""
        if not self.was_initialized:
            self.initialize()
        earlier = Path(self.output_folder, "debug.json")
        kept = json.loads(earlier.read_text(encoding="utf-8")).get(KEY) if earlier.is_file() else None
        if kept:
            check_same(json.loads(kept), json.loads(self.rwseg_loss), self.output_folder)
        super().on_train_start()

    def on_train_epoch_start(self) -> None:
        """Tell the loss the epoch: its strategy may depend on it."""
        super().on_train_epoch_start()
        self.combined_loss.set_epoch(self.current_epoch)
