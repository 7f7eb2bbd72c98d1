"""The gallery of losses: a row for each file of `conf/loss`, with a picture of the gradient.

    rwseg gallery [DOCS]      writes losses.md, figures/losses and figures/maps*.png to DOCS (default: docs)

What a row says is quoted: the first comment of the file gives branch and source, the docstring of the class
what the loss rewards (after the colon of its first line) and the formula (the sentence after that line). The
region-wise losses are one formula with a map each; their map is in the comment, what it rewards is `REWARDS`.
"""

import argparse
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import hydra.utils
from omegaconf import OmegaConf

from rwseg.core.files import write_text
from rwseg.core.paths import user_path
from rwseg.experiments.config.conf import CONF
from rwseg.experiments.config.targets import CUSTOM
from rwseg.losses import (
    RegionWiseLoss,
    SegmentationLoss,
    boundary,
    compound,
    distribution,
    region,
    region_wise,
)
from rwseg.report.figures.loss_gallery import draw_example, draw_gradient, example, gradient
from rwseg.report.gallery_maps import maps_section, percent

BRANCHES: dict[str, ModuleType] = {
    "region-wise": region_wise,
    "distribution-based": distribution,
    "region-based": region,
    "boundary-based": boundary,
    "compound": compound,
}
"""The taxonomy, and the module whose docstring says what the formulas of a branch are made of."""

REWARDS = {
    "rrw": "The deeper a pixel lies in its class, the more it earns there; all wrong classes cost the same.",
    "rw": "What its list says; as it stands, depth in the class, and the mean distance to all others.",
    "rw_ac": "A pixel costs the same in every wrong class, wherever it lies.",
    "rw_boundary": "A pixel earns its depth in its class and costs its distance to a wrong one.",
    "rw_constant": "A pixel earns the same wherever it is right and costs the same wherever it is wrong.",
    "rw_hausdorff": "A pixel costs its squared distance to a wrong class and earns nothing in its own.",
}

COMMENT = re.compile(
    rf"# (?P<title>.+?)(, (?P<branch>{'|'.join(BRANCHES)}))?(, MONAI's Dice)?"
    r"(: (?P<formula>.+))? \((?P<source>.+)\)\."
)
EXAMPLE = "example"

HEAD = f"""# Losses

Made by `rwseg gallery`. `loss=NAME` selects a loss; its options, with their defaults, are in
`conf/loss/NAME.yaml`.

## How to read the pictures

![Labels, predicted class, and probability of the true class](figures/losses/{EXAMPLE}.png)

All losses judge the same prediction. Left are the labels: background white, class 1 blue, class 2 orange. In
the middle is the predicted class, with the contours of the labels: ring, core and neighbour are displaced, a
speck is found where there is none, a small structure is missed. On the right is the probability of the true
class, from 0 (dark) to 1 (yellow).

A picture in a table is minus the gradient of the loss at the logit of each pixel's true class. Purple pixels
are pushed towards their class, orange ones away from it, white ones not at all. Each picture is scaled to the
99th percentile of its own absolute values, so pictures compare where losses look, not how strong they are.
Hatched, and counted below the picture, are the pixels whose gradient has a wrong sign: the true class is not
pushed up, or another one is ([why](theory.md)); on another prediction the count is another. Distances are in
pixels.
"""


class Entry(NamedTuple):
    """A row of the gallery, in Markdown."""

    name: str
    branch: str
    formula: str
    source: str
    rewards: str


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="rwseg gallery", description="Write the gallery of losses.")
    parser.add_argument("docs", type=user_path, nargs="?", default=Path("docs"), help="folder of losses.md")
    docs = parser.parse_args(arguments).docs
    write_gallery(docs)
    print(f"wrote {docs / 'losses.md'} and {docs / 'figures' / 'losses'}")


def write_gallery(docs: Path) -> None:
    """Write `losses.md` and its pictures below `docs`."""
    pictures = docs / "figures" / "losses"
    scene = example()
    draw_example(scene, pictures / f"{EXAMPLE}.png")
    sections: dict[str, list[str]] = {branch: [] for branch in BRANCHES}
    for file in sorted((CONF / "loss").glob("*.yaml")):
        if file.stem == CUSTOM:
            continue
        loss = hydra.utils.instantiate(OmegaConf.load(file))
        push, wrong = gradient(loss, scene)
        draw_gradient(scene, push, wrong, pictures / f"{file.stem}.png")
        entry = read_entry(file, loss)
        sections[entry.branch].append(_row(entry, float(wrong.double().mean())))
    text = [HEAD, *(_section(branch, rows) for branch, rows in sections.items())]
    text.insert(2, maps_section(scene, docs))
    write_text(docs / "losses.md", "\n".join(text))


def read_entry(file: Path, loss: SegmentationLoss) -> Entry:
    """Return what the file of a loss and the docstring of its class say.

    Raises `ValueError` for a first comment that is not `# Title[, branch][: formula] (source).`
    """
    comment = file.read_text(encoding="utf-8").splitlines()[0]
    found = COMMENT.fullmatch(comment)
    if found is None:
        raise ValueError(f"{file}: expected '# Title[, branch][: formula] (source).' first, got {comment!r}")
    if found["branch"] is None:
        return Entry(file.stem, "region-wise", found["formula"], found["source"], REWARDS[file.stem])
    summary, details = _paragraphs(type(loss))[:2]
    rewards = summary.split(": ", 1)[1]
    return Entry(
        file.stem,
        found["branch"],
        _first_sentence(details),
        found["source"],
        rewards[0].upper() + rewards[1:],
    )


def _section(branch: str, rows: list[str]) -> str:
    summary, details = _paragraphs(BRANCHES[branch])[:2]
    notation = [summary, _first_sentence(details)]
    if branch == "region-wise":
        notation = [summary, _paragraphs(RegionWiseLoss)[0]]
    table = ["| `loss=` | formula | source | what it rewards | gradient |", "|---|---|---|---|---|", *rows]
    return "\n".join([f"## {branch.capitalize()}", "", " ".join(notation), "", *table, ""])


def _row(entry: Entry, wrong: float) -> str:
    picture = f"![Gradient of {entry.name}](figures/losses/{entry.name}.png)<br>wrong sign: {percent(wrong)}"
    cells = (f"`{entry.name}`", entry.formula, entry.source, entry.rewards, picture)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _paragraphs(documented: object) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in (inspect.getdoc(documented) or "").split("\n\n")]


def _first_sentence(paragraph: str) -> str:
    return re.split(r"(?<=\.) (?=[A-Z])", paragraph, maxsplit=1)[0]


if __name__ == "__main__":
    main()
