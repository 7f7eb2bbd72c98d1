"""The card of an exported model: what it was trained on, how well it did there, and what it is not for."""

from typing import Any

import pandas as pd

from rwseg.core.errors import ConfigError
from rwseg.experiments.config.schema import TrainConfig
from rwseg.experiments.prepared_run import dataset_of
from rwseg.metrics.averages import class_means
from rwseg.metrics.terminal_table import unit_of
from rwseg.models.inference.inference_spec import InferenceSpec
from rwseg.models.inference.predictor import Predictor

METRICS = {"dice": ".3f", "hausdorff": ".1f", "hausdorff95": ".1f"}

_POLICY = {"nan": "no distance", "diagonal": "the volume's diagonal as distance"}

LIBRARY = "library_name: rwseg"

CARD = """---
{library}
pipeline_tag: image-segmentation
tags: [medical, region-wise-loss, {loss}]
---

# {loss}, trained on {dataset}

A 2D {network} that assigns each pixel one of {classes}. Loss `{loss}`, strategy `{strategy}`, seed {seed}.
It is one seed of training: how much another one differs does not stand here.

## Use

```python
import rwseg

model = rwseg.load_run("this folder")
labels = model.predict("image.nii.gz")  # or an array (C, [Z,] H, W) and its spacing
```

`rwseg predict FOLDER IMAGES -o OUT` does the same for a folder of images. Input: {channels}, as the files
hold them, not normalised.

## Data

{data}

## Results

{results}

## Limits

{limits}

## Origin

{origin}
"""


def model_card(predictor: Predictor, content: dict[str, Any]) -> str:
    """Markdown with the front matter of model hubs; `content` is the description that goes with it."""
    config, spec, origin = predictor.config, predictor.data, content["origin"]
    choices = origin.get("choices", {})
    return CARD.format(
        library=LIBRARY,
        loss=choices.get("loss", "custom"),
        strategy=choices.get("strategy", config.strategy.mode),
        dataset=spec.dataset,
        network=type(predictor.network.network).__name__,
        classes=", ".join(predictor.classes),
        seed=config.seed,
        channels=", ".join(spec.channels),
        data=_data(config, spec),
        results=_results(predictor),
        limits=_limits(spec),
        origin=_origin(content),
    )


def _data(config: TrainConfig, spec: InferenceSpec) -> str:
    lines = [f"Hash of the files and of their preparation: `{spec.digest}`"]
    try:
        dataset = dataset_of(config)
    except ConfigError:
        lines.insert(0, f"Read by code of the user's, `{config.dataset.adapter}`, which is not here")
    else:
        lines = [dataset.reference, dataset.homepage, f"Licence: {dataset.licence}", *lines]
    return "\n".join(f"- {line}" for line in lines if line)


def _results(predictor: Predictor) -> str:
    path = predictor.folder / "metrics" / "cases.csv"
    if not path.is_file():
        return "Not evaluated."
    cases = pd.read_csv(path)
    each, overall = class_means(cases, list(METRICS))
    counts = cases.groupby("class_name", sort=False)[["missed", "spurious"]].sum()
    unit = unit_of(cases)
    rows = [
        ("class", "Dice", f"Hausdorff ({unit})", f"Hausdorff 95 % ({unit})", "missed", "spurious"),
        ("---",) * 6,
        *((name, *_numbers(each.loc[name]), *map(str, counts.loc[name])) for name in each.index),
        ("mean", *_numbers(overall.iloc[0]), *map(str, counts.sum())),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    head = (
        f"Means over {cases['case'].nunique()} validation cases of {cases['subject'].nunique()} subjects, on "
        "the grid of the files, by the last weights of the training. Structures that only one side has are "
        f"counted, and have {_POLICY[predictor.config.evaluation.missed]}:"
    )
    return f"{head}\n\n{table}"


def _numbers(values: "pd.Series[float]") -> list[str]:
    return [format(values[metric], style) for metric, style in METRICS.items()]


def _limits(spec: InferenceSpec) -> str:
    step = spec.preprocessing.spacing
    lines = [
        "For research; no medical device.",
        f"It was trained on {spec.dataset} alone: other scanners, protocols and diseases are untested.",
        "Slices are segmented one by one, without their neighbours.",
    ]
    if step is not None and step != (1.0, 1.0):
        lines.append(
            f"Slices are resampled to {step[0]:g} x {step[1]:g} mm, so files must tell their spacing."
        )
    return "\n".join(f"- {line}" for line in lines)


def _origin(content: dict[str, Any]) -> str:
    origin = content["origin"]
    versions = ", ".join(f"{name} {version}" for name, version in origin.get("versions", {}).items())
    lines = [
        f"Weights: checkpoint `{content['checkpoint']}`",
        f"Commit of rwseg: `{origin['git_commit']}`" if "git_commit" in origin else "",
        f"Versions: {versions}" if versions else "",
        f"Device: {origin['device']}" if "device" in origin else "",
        "Everything that decided the run is in `config.json`",
    ]
    return "\n".join(f"- {line}." for line in lines if line)
