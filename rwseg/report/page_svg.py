"""A figure's SVG as a part of the page: its colours follow the page's, its identifiers are its own."""

from pathlib import Path
from xml.etree import ElementTree

from markupsafe import Markup

from rwseg.report.figure_style import GRID, INK, MUTED, PAPER

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
_DROPPED = (f"{SVG}metadata", f"{SVG}style")
_THEME = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_POINT = 1.6
"""CSS pixels of a point: a fifth more than on paper, which makes the labels as large as the text."""


def inline_svg(path: Path, label: str) -> Markup:
    """The SVG that matplotlib wrote to `path` as an element of an HTML page that reads as `label`.

    Identifiers begin with the file's name, so that figures of one page do not take each other's parts.
    """
    root = ElementTree.parse(path).getroot()
    width = float(root.attrib.pop("width").removesuffix("pt")) * _POINT
    root.attrib.pop("height")
    root.attrib |= {"role": "img", "aria-label": label, "style": f"width:{width:.0f}px"}
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in _DROPPED]:
            parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib = {
            name.removeprefix(XLINK): _value(name, value, path.stem) for name, value in element.attrib.items()
        }
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _value(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name.endswith("href"):
        return value.replace("#", f"#{prefix}-", 1) if value.startswith("#") else value
    if name == "style":
        for colour, variable in _THEME.items():
            value = value.replace(colour, variable)
    return value.replace("url(#", f"url(#{prefix}-")
