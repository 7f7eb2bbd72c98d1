"""Plans of nnU-Net for a dataset of a few small networks, as its planner writes them."""

from pathlib import Path
from typing import Any

DATASET = "Dataset999_Made"
SPACING = {"2d": [1.5, 2.0], "3d_fullres": [5.0, 1.5, 2.0]}
STRIDES = {"2d": [[1, 1], [2, 2], [2, 2], [2, 1]], "3d_fullres": [[1, 1, 1], [1, 2, 2], [2, 2, 2], [1, 2, 1]]}
PATCH = {"2d": [32, 24], "3d_fullres": [8, 32, 24]}
LABELS: dict[str, Any] = {"background": 0, "RV": 1, "myocardium": 2}


def architecture(name: str) -> dict[str, Any]:
    dimension, stages = name[0], len(STRIDES[name])
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": [4] * stages,
            "conv_op": f"torch.nn.modules.conv.Conv{dimension}d",
            "kernel_sizes": [[3] * int(dimension)] * stages,
            "strides": STRIDES[name],
            "n_conv_per_stage": [1] * stages,
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimension}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def configuration(name: str) -> dict[str, Any]:
    return {
        "data_identifier": f"nnUNetPlans_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": PATCH[name],
        "spacing": SPACING[name],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "batch_dice": name == "2d",
        "architecture": architecture(name),
    }


def plans() -> dict[str, Any]:
    """What `nnUNetTrainer` is given: the plans, and whether a training is continued."""
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "continue_training": False,
        "configurations": {name: configuration(name) for name in SPACING},
        "label_manager": "LabelManager",
    }


def dataset_json(labels: dict[str, Any] = LABELS) -> dict[str, Any]:
    regions = [name for name, value in labels.items() if isinstance(value, list)]
    return {
        "channel_names": {"0": "MRI"},
        "labels": labels,
        "numTraining": 2,
        "file_ending": ".nii.gz",
        **({"regions_class_order": list(range(1, len(regions) + 1))} if regions else {}),
    }


def make_preprocessed(root: Path) -> None:
    """The folders of preprocessed data, of which a trainer that does not train looks at the endings alone."""
    for name in SPACING:
        folder = root / DATASET / f"nnUNetPlans_{name}"
        folder.mkdir(parents=True)
        (folder / "case.b2nd").touch()
