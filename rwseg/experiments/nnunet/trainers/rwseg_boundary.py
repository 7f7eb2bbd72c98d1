"""nnU-Net with the region-wise loss of the boundary map: alone, and with a partner."""

from rwseg.experiments.nnunet.trainer import RwsegTrainer


class nnUNetTrainerRWBoundary(RwsegTrainer):
    """The region-wise loss of the boundary map alone."""

    words = ("rw_boundary",)


class nnUNetTrainerRWBoundaryEqualDice(RwsegTrainer):
    """Dice + this loss."""

    words = ("rw_boundary", "strategy=equal_dice")


class nnUNetTrainerRWBoundaryEqualCE(RwsegTrainer):
    """Cross entropy + this loss."""

    words = ("rw_boundary", "strategy=equal_ce")


class nnUNetTrainerRWBoundaryGradualDice(RwsegTrainer):
    """From Dice to this loss over the epochs."""

    words = ("rw_boundary", "strategy=gradual_dice")


class nnUNetTrainerRWBoundaryGradualCE(RwsegTrainer):
    """From cross entropy to this loss over the epochs."""

    words = ("rw_boundary", "strategy=gradual_ce")
