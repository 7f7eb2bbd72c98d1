"""nnU-Net with the rectified region-wise loss: alone, and with a partner."""

from rwseg.experiments.nnunet.trainer import RwsegTrainer


class nnUNetTrainerRRW(RwsegTrainer):
    """The rectified region-wise loss alone."""

    words = ("rrw",)


class nnUNetTrainerRRWEqualDice(RwsegTrainer):
    """Dice + this loss."""

    words = ("rrw", "strategy=equal_dice")


class nnUNetTrainerRRWEqualCE(RwsegTrainer):
    """Cross entropy + this loss."""

    words = ("rrw", "strategy=equal_ce")


class nnUNetTrainerRRWGradualDice(RwsegTrainer):
    """From Dice to this loss over the epochs."""

    words = ("rrw", "strategy=gradual_dice")


class nnUNetTrainerRRWGradualCE(RwsegTrainer):
    """From cross entropy to this loss over the epochs."""

    words = ("rrw", "strategy=gradual_ce")
