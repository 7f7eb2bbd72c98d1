"""nnU-Net with any loss of `conf/loss`, or one of the user's own, which the environment names."""

from rwseg.experiments.nnunet.trainer import RwsegTrainer


class nnUNetTrainerRwsegLoss(RwsegTrainer):
    """The loss in `RWSEG_LOSS`, kept in the checkpoint: `RWSEG_LOSS='rw_boundary rectify=true'`."""
