"""Trainers of nnU-Net v2 with the losses of rwseg.

`experiments.nnunet.trainers` is the folder for `nnUNet_extTrainer`, which holds trainers and nothing else;
`trainer` is what they share. The other modules import nothing of nnU-Net: what loss was asked for, and the
loss as nnU-Net calls it.
"""
