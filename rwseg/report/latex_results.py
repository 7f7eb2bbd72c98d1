"""The results in LaTeX as journals set them: Dice and distances aligned in columns of their own."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby, product
from typing import NamedTuple

from rwseg.report.comparison.classes import shown_classes
from rwseg.report.comparison.comparison import Comparison
from rwseg.report.comparison.samples import COUNTS, MEAN
from rwseg.report.markup import LONG, latex_text
from rwseg.report.printed import DIGITS, NOTHING, number
from rwseg.report.scores import Key, Score, keyed, scores
from rwseg.report.tables import metric_name, results_caption, totals_text

MOST_GROUPS, MOST_CLASSES = 4, 4
"""Classes side by side with their distances over two columns, and with their Dice alone in one."""

_SETUP = (
    r"\footnotesize\setlength{\tabcolsep}{3pt}%",
    r"\sisetup{mode=text,reset-text-series=false,separate-uncertainty=true,%",
    r"  table-align-uncertainty=true,table-align-text-after=false}%",
)
"""In the font of the text, whose bold numbers are as wide as the others and stand under them."""


Scores = Mapping[Key, Score]


class _Column(NamedTuple):
    """A column: the heading that it shares with its neighbours, its own, its alignment and its cells."""

    group: str
    heading: str
    alignment: str
    cells: tuple[str, ...]


def results_two_columns(comparison: Comparison, distance: str, name: str) -> str:
    """Dice and `distance` of every class and their mean, for `table*`; more than four classes take turns."""
    found, classes = scores(comparison, distance), shown_classes(comparison)
    chunks = [classes[i : i + MOST_GROUPS] for i in range(0, len(classes), MOST_GROUPS)]
    tables = [
        [
            _names(comparison, 28),
            *(_scores(comparison, found, c, m) for c in chunk for m in ("dice", distance)),
            *([_counts(comparison)] if chunk is chunks[-1] else []),
        ]
        for chunk in chunks
    ]
    return _floats(comparison, "table*", distance, name, tables)


def results_one_column(comparison: Comparison, distance: str, name: str) -> str:
    """Dice and `distance` over all classes, and where there are a few of them the Dice of each."""
    found, classes = scores(comparison, distance), comparison.classes
    over = MEAN if len(classes) > 1 else classes[0]
    columns = [_names(comparison, 16), *(_scores(comparison, found, over, m) for m in ("dice", distance))]
    if 1 < len(classes) <= MOST_CLASSES:
        columns += [_means(comparison, found, class_name) for class_name in classes]
    return _floats(comparison, "table", distance, name, [columns])


def _names(comparison: Comparison, width: int) -> _Column:
    return _Column("", "method", "l", tuple(_lines(method.name, width) for method in comparison.methods))


def _lines(name: str, width: int) -> str:
    lines = [latex_text(line) for line in textwrap.wrap(name, width, break_long_words=False)]
    if len(lines) == 1:
        return lines[0]
    return r"\begin{tabular}[c]{@{}l@{}}" + r"\\".join(lines) + r"\end{tabular}"


def _scores(comparison: Comparison, found: Scores, class_name: str, metric: str) -> _Column:
    own = [found[method.name, class_name, metric] for method in comparison.methods]
    cells = tuple(_number(score, score.text.replace("±", "+-")) for score in own)
    form = _format([score.text for score in own], DIGITS[metric])
    return _Column(class_name, metric_name(comparison, metric), form, cells)


def _means(comparison: Comparison, found: Scores, class_name: str) -> _Column:
    own = [found[method.name, class_name, "dice"] for method in comparison.methods]
    texts = [number(score.mean, DIGITS["dice"]) for score in own]
    cells = tuple(_number(score, text) for score, text in zip(own, texts, strict=True))
    return _Column("Dice", class_name, _format(texts, DIGITS["dice"]), cells)


def _counts(comparison: Comparison) -> _Column:
    summary = keyed(comparison.summary)
    rows = [summary[method.name, MEAN, "dice"] for method in comparison.methods]
    cells = tuple(", ".join(str(row[name]) for name in COUNTS) for row in rows)
    return _Column(f"{COUNTS[0]},", COUNTS[1], "r", cells)


def _number(score: Score, text: str) -> str:
    """A cell of a column `S`: the star takes no room, so that numbers stay in line."""
    if text == NOTHING:
        return f"{{{latex_text(NOTHING)}}}"
    star = rf"{{\rlap{{\textsuperscript{{{score.star}}}}}}}" if score.star else ""
    weight = r"\bfseries " if score.best else ""
    return f"{weight}{text}{star}"


def _format(texts: Sequence[str], digits: int) -> str:
    """The column `S` with room for the longest number: `S[table-format=2.2(4)]` for `12.34 ± 15.20`."""
    parts = [text.split(" ± ") for text in texts if text != NOTHING] or [["0"]]
    before = max(len(part[0].partition(".")[0]) for part in parts)
    deviations = [str(int(part[1].replace(".", ""))) for part in parts if len(part) > 1]
    deviation = f"({max(digits, *map(len, deviations))})" if deviations else ""
    return f"S[table-format={before}.{digits}{deviation}]"


def _floats(
    comparison: Comparison, environment: str, distance: str, name: str, tables: Sequence[Sequence[_Column]]
) -> str:
    """One float per table and `LONG` methods; the caption stands over the first."""
    caption = latex_text(f"{results_caption(comparison, distance)} {totals_text(comparison)}")
    lines = [r"% needs \usepackage{booktabs,graphicx,siunitx}, siunitx 3"]
    for columns, start in product(tables, range(0, len(comparison.methods), LONG)):
        first = columns is tables[0] and start == 0
        over = (
            rf"\caption{{{caption}}}\label{{tab:{name}}}"
            if first
            else rf"Table~\ref{{tab:{name}}}, continued"
        )
        lines += [
            rf"\begin{{{environment}}}[htbp]",
            r"\centering",
            over,
            r"\par\medskip",
            *_SETUP,
            r"\sbox0{%",
        ]
        lines += [*_tabular(columns, start), "}%"]
        lines += [r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"]
        lines += [rf"\end{{{environment}}}"]
    return "\n".join(lines) + "\n"


def _tabular(columns: Sequence[_Column], start: int) -> list[str]:
    groups, rules, place = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        count = len(list(members))
        groups.append(rf"\multicolumn{{{count}}}{{c}}{{{latex_text(group)}}}" if group else "")
        rules.append(rf"\cmidrule(lr){{{place}-{place + count - 1}}}" if count > 1 else "")
        place += count
    headings = (f"{{{latex_text(column.heading)}}}" for column in columns)
    rows = list(zip(*(column.cells for column in columns), strict=True))[start : start + LONG]
    return [
        rf"\begin{{tabular}}{{{''.join(column.alignment for column in columns)}}}",
        r"\toprule",
        rf"{' & '.join(groups)} \\",
        "".join(rules),
        rf"{' & '.join(headings)} \\",
        r"\midrule",
        *(rf"{' & '.join(row)} \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}%",
    ]
