"""Draw docs/figures/architecture.svg, and list the packages in docs/architecture.md, from the code itself.

    python docs/architecture.py

Rows are the layers that `lint-imports` guards (pyproject.toml), arrows are imports; what a package is for is
the first sentence of its `__init__.py`.
"""

import ast
import re
import tomllib
from pathlib import Path

import grimp
import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "figures" / "architecture.svg"
BEGIN, END = "<!-- made by docs/architecture.py -->\n", "<!-- end -->\n"
WIDTH, HEIGHT = 2.1, 0.62


def layers() -> list[list[str]]:
    """Packages by layer, the highest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [found] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [re.split(r"\s*[|:]\s*", row) for row in found]


def imports() -> dict[str, list[str]]:
    """What each package imports of the others, in the order of the layers."""
    graph = grimp.build_graph("rwseg", cache_dir=None)
    names = [name for row in layers() for name in row]
    found: dict[str, set[str]] = {name: set() for name in names}
    for module in graph.modules:
        for target in graph.find_modules_directly_imported_by(module):
            start, end = (full.split(".")[1] if "." in full else "" for full in (module, target))
            if start in found and end in found and start != end:
                found[start].add(end)
    return {name: [other for other in names if other in found[name]] for name in names}


def purpose(package: str) -> str:
    """The first sentence of the package's docstring."""
    text = ast.get_docstring(ast.parse((ROOT / "rwseg" / package / "__init__.py").read_text())) or ""
    return re.split(r"(?<=\.)\s", " ".join(text.split()))[0]


def table() -> str:
    """The packages as Markdown."""
    rows = [
        f"| `{name}` | {purpose(name)} | {', '.join(others) or 'nothing'} |"
        for name, others in imports().items()
    ]
    return "\n".join(["| package | what belongs there | imports |", "|---|---|---|", *rows]) + "\n"


def nearest(edges: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Arrows that no way over other packages replaces: the others would only cover them."""
    reach: dict[str, set[str]] = {}
    for name in reversed(edges):
        reach[name] = set(edges[name]).union(*(reach[other] for other in edges[name]))
    return [
        (name, other)
        for name, others in edges.items()
        for other in others
        if not any(other in reach[between] for between in others)
    ]


def draw() -> None:
    """Write the picture."""
    mpl.rcParams.update({"svg.hashsalt": "rwseg", "svg.fonttype": "none", "font.sans-serif": ["DejaVu Sans"]})
    rows = layers()
    figure = Figure(figsize=(9.2, 0.95 * len(rows)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-4.9, 4.9), ylim=(-len(rows) + 0.45, 0.55))
    axes.axis("off")
    places = {
        name: ((column - (len(row) - 1) / 2) * 1.12 * WIDTH, -float(level))
        for level, row in enumerate(rows)
        for column, name in enumerate(row)
    }
    for start, end in nearest(imports()):
        _arrow(axes, places[start], places[end])
    for name, (x, y) in places.items():
        axes.text(x, y, name, ha="center", va="center", fontsize=11, zorder=3, color="#1f2328")
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        axes.add_patch(mpl.patches.Rectangle(corner, WIDTH, HEIGHT, fc="#eef4fa", ec="#0072b2", zorder=2))
    figure.savefig(PICTURE, metadata={"Date": None, "Creator": None})


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From the lower edge of a box to the upper edge of another; past other layers from side to side."""
    (x0, y0), (x1, y1) = start, end
    begin, finish, bend = (x0, y0 - HEIGHT / 2), (x1, y1 + HEIGHT / 2), 0.0
    if y0 - y1 > 1.5:
        side = 1 if x1 > x0 else -1
        bend = -0.2 * side
        if x0 == 0:
            begin = (x0 + side * WIDTH / 2, y0)
        else:
            finish, bend = (x1 - side * WIDTH / 2, y1), 0.1 * side
    style = {"arrowstyle": "-|>", "color": "#6e7681", "lw": 1.2, "connectionstyle": f"arc3,rad={bend}"}
    axes.annotate("", finish, begin, arrowprops=style)


def main() -> None:
    """Write both."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])
    draw()


if __name__ == "__main__":
    main()
