"""A figure's SVG as a part of the page: its colours follow the page's, its names are its own."""

import re
from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

from rwseg.report.figures.style import GRID, INK, MUTED, PAPER
from rwseg.report.figures.svg import SVG, XLINK

_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_RULE = re.compile(r"(?=\.s\d+\{)")
_POINT = 2.0
"""CSS pixels of a point: half more than on paper, which makes the labels nearly as large as the text."""


def inline_svg(path: Path, label: str) -> Markup:
    """The SVG that `figure_svg.compact` made, at `path`, as an element of an HTML page that reads as `label`.

    Names begin with the file's, and its styles hold inside it only, so that figures of one page do not take
    each other's parts.
    """
    root = ElementTree.parse(path).getroot()
    width = float(root.attrib.pop("width").removesuffix("pt")) * _POINT
    root.attrib.pop("height")
    root.attrib |= {"id": "figure", "role": "img", "aria-label": label, "style": f"width:{width:.0f}px"}
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag == f"{SVG}style"]:
            rules = child.text or ""
            if rules.startswith(".s"):
                child.text = _RULE.sub(f"#{path.stem}-figure ", _themed(rules))
            else:  # matplotlib's own, for all there is: page.css has it for figures
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib = {
            name.removeprefix(XLINK): _value(name, value, path.stem) for name, value in element.attrib.items()
        }
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _themed(rules: str) -> str:
    for colour, variable in _THEME.items():
        rules = rules.replace(colour, variable)
    return rules


def _value(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name.endswith("href"):
        return value.replace("#", f"#{prefix}-", 1) if value.startswith("#") else value
    return value.replace("url(#", f"url(#{prefix}-")
