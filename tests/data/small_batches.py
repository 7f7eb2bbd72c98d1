"""Batches of the small dataset."""

from typing import Any

import torch
from augmentation_samples import FLIPS

from rwseg.data.datamodule import SliceDataModule
from rwseg.data.preprocessing.prepared import Prepared
from rwseg.data.sampling.slice_cache import Batch
from rwseg.maps import RectifiedMap

CPU = torch.device("cpu")


def make_module(prepared: Prepared, **changes: Any) -> SliceDataModule:
    settings: dict[str, Any] = {
        "map_name": "rrw",
        "rectified": True,
        "patch_size": (8, 6),
        "batch_size": 5,
        "batches_per_epoch": 3,
        "foreground": 0.4,
        "augment": FLIPS,
        "source": "cached",
        "seed": 11,
    }
    module = SliceDataModule(prepared, **{**settings, **changes})
    module.prepare_data()
    return module


def tensors(batch: Batch) -> list[torch.Tensor]:
    maps = batch.region_map if isinstance(batch.region_map, RectifiedMap) else [batch.region_map]
    return [batch.image, batch.labels, *(part for part in maps if part is not None)]


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))
