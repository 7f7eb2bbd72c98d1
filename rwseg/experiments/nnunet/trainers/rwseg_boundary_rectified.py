"""nnU-Net with the region-wise loss of the rectified boundary map: alone, and with a partner."""

from rwseg.experiments.nnunet.trainer import RwsegTrainer


class nnUNetTrainerRWBoundaryRectified(RwsegTrainer):
    """The region-wise loss of the rectified boundary map alone."""

    words = ("rw_boundary", "rectify=true")


class nnUNetTrainerRWBoundaryRectifiedEqualDice(RwsegTrainer):
    """Dice + this loss."""

    words = ("rw_boundary", "rectify=true", "strategy=equal_dice")


class nnUNetTrainerRWBoundaryRectifiedEqualCE(RwsegTrainer):
    """Cross entropy + this loss."""

    words = ("rw_boundary", "rectify=true", "strategy=equal_ce")


class nnUNetTrainerRWBoundaryRectifiedGradualDice(RwsegTrainer):
    """From Dice to this loss over the epochs."""

    words = ("rw_boundary", "rectify=true", "strategy=gradual_dice")


class nnUNetTrainerRWBoundaryRectifiedGradualCE(RwsegTrainer):
    """From cross entropy to this loss over the epochs."""

    words = ("rw_boundary", "rectify=true", "strategy=gradual_ce")
