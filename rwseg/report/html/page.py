"""The report as one HTML page that needs nothing else: it works from a disk, on paper and on a phone."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from rwseg.core.files import write_text
from rwseg.report.comparison.cases import averaged_cases
from rwseg.report.comparison.classes import class_label, shown_classes
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.same_cases import same_cases
from rwseg.report.comparison.samples import COUNTS
from rwseg.report.comparison.summary import summary_sentences
from rwseg.report.figures.all_figures import DRAWINGS
from rwseg.report.html.case_pictures import gallery
from rwseg.report.html.same_case_pictures import Rows, same_case_rows
from rwseg.report.html.svg import inline_svg
from rwseg.report.html.tables import page_tables
from rwseg.report.page_templates import page_templates
from rwseg.report.tables import counts_text

HERE = Path(__file__).parent

NO_PICTURES = (
    "There are no pictures: the run directories hold neither figures/cases.png nor overlays of an evaluation."
)
PICTURES_LEFT_OUT = "Pictures of cases were left out (--no-gallery)."


class Shown(NamedTuple):
    """A figure on the page, or why there is none."""

    caption: str
    svg: Markup | None
    absent: str


def write_page(
    comparison: Comparison, figures: Mapping[str, Path], folder: Path, pictures: bool = True
) -> Path:
    """Write `folder/index.html` with everything in it; returns its path.

    `figures` is what `draw_figures` returned; the SVG beside each PNG goes into the page. With `pictures`,
    those of cases come from the run directories (`case_pictures`). The page asks no host, and its
    bytes depend on the numbers and pictures alone.
    """
    environment = page_templates(HERE)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    text = environment.get_template("page.html.j2").render(
        comparison=comparison,
        summary=summary_sentences(comparison),
        facts=_facts(comparison),
        tables=page_tables(comparison),
        figures=_figures(comparison, figures),
        pictures=gallery(comparison) if pictures else [],
        no_pictures=NO_PICTURES if pictures else PICTURES_LEFT_OUT,
        same=same_case_rows(same_cases(comparison.methods)) if pictures else Rows((), (), PICTURES_LEFT_OUT),
        cases=_cases(comparison),
        counts=counts_text(comparison),
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        script=Markup((HERE / "page.js").read_text(encoding="utf-8")),
    )
    path = folder / "index.html"
    write_text(path, text)
    return path


def _figures(comparison: Comparison, paths: Mapping[str, Path]) -> dict[str, Shown]:
    shown = {}
    for drawing in DRAWINGS:
        path = paths.get(drawing.name)
        caption = drawing.caption_of(comparison)
        label = f"{drawing.title}. {caption}"
        svg = None if path is None else inline_svg(path.with_suffix(".svg"), label)
        shown[drawing.name] = Shown(caption, svg, drawing.absent)
    return shown


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    """What all runs share, and how many there are of everything."""
    runs = [run for method in comparison.methods for run in method.runs]
    cases = averaged_cases(comparison)["case"].nunique()
    facts = [
        ("methods", str(len(comparison.methods))),
        ("runs", str(len(runs))),
        ("validation cases", str(cases)),
        ("classes", ", ".join(comparison.classes)),
        ("reference", comparison.reference),
    ]
    groups = sorted({group for run in runs for group in run.choices})
    for group in groups:
        options = {run.choices.get(group) for run in runs}
        if len(options) == 1:
            facts.append((group, str(options.pop())))
    for name, values in (
        ("device", {run.device for run in runs}),
        ("commit", {run.commit[:12] + run.commit[40:] for run in runs}),
        ("data", {run.data_digest[:12] for run in runs}),
        ("split", {run.split_digest[:12] for run in runs}),
    ):
        facts.append((name, ", ".join(sorted(values))))
    return [(name, value) for name, value in facts if value]


def _cases(comparison: Comparison) -> dict[str, Any]:
    """Each case averaged over runs, in the order that `page.js` reads: indices of names, then numbers."""
    methods, classes = [method.name for method in comparison.methods], shown_classes(comparison)
    table = averaged_cases(comparison)
    table = table[table["class_name"].isin(classes)]
    keys = ["class_name", "case"]
    reference = table[table["method"] == comparison.reference].set_index(keys)["dice"].rename("reference")
    table = table.join(reference, on=keys)
    table["difference"] = table["dice"] - table["reference"]
    phases = dict(zip(table["case"], table["phase"], strict=True))
    cases = {name: i for i, name in enumerate(phases)}
    rows = [
        [
            methods.index(row["method"]),
            classes.index(row["class_name"]),
            cases[row["case"]],
            *(_rounded(row[column], digits) for column, digits in _NUMBERS),
            *(int(row[count]) for count in COUNTS),
        ]
        for row in table.to_dict("records")
    ]
    return {
        "methods": methods,
        "reference": methods.index(comparison.reference) if methods else None,
        "classes": [class_label(name) for name in classes],
        "cases": [[name, phase] for name, phase in phases.items()],
        "rows": rows,
    }


_NUMBERS = (("dice", 4), ("difference", 4), ("hausdorff", 2), ("hausdorff95", 2))


def _rounded(value: float, digits: int) -> float | None:
    return None if math.isnan(value) else round(value, digits)
