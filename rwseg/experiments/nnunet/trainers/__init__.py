"""The folder that `nnUNet_extTrainer` names: trainers for nnU-Net v2, each under a name that nnU-Net has not.

nnU-Net imports every module here by its bare name, so that these names begin with `rwseg_`, and forgets them
afterwards.
"""
