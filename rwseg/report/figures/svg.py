"""An SVG as matplotlib writes it at half its size: a report holds it twice, as a file and on the page."""

import base64
import io
import re
from xml.etree import ElementTree

from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"
HREF = f"{XLINK}href"

_DROPPED = f"{SVG}metadata"
_NUMBER = re.compile(r"-?\d*\.\d+")
"""Hundredths of a point are more than enough for a place; what texts say is no attribute and stays."""

_COMMAND = re.compile(r"\s*([A-Za-z])\s*")
_NO_TURN = re.compile(r"rotate\(-?0 [^)]*\)")
_PNG = "data:image/png;base64,"
_COLOURS = 64


def compact(text: str) -> str:
    """The same drawing in fewer bytes: styles as classes, short names and numbers, few colours."""
    ElementTree.register_namespace("", SVG[1:-1])
    ElementTree.register_namespace("xlink", XLINK[1:-1])
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag == _DROPPED]:
            parent.remove(child)
    _shorten_names(root)
    classes: dict[str, str] = {}
    for element in root.iter():
        element.text, element.tail = _stripped(element.text), _stripped(element.tail)
        if "style" in element.attrib and element is not root:
            element.set("class", classes.setdefault(element.attrib.pop("style"), f"s{len(classes)}"))
        element.attrib = {name: _shorter(name, value) for name, value in element.attrib.items()}
        if not element.get("transform", "kept"):
            del element.attrib["transform"]
    style = ElementTree.Element(f"{SVG}style")
    style.text = "".join(f".{name}{{{_NUMBER.sub(_rounded, rule)}}}" for rule, name in classes.items())
    root.insert(0, style)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _shorten_names(root: ElementTree.Element) -> None:
    """Give what is referred to a short name, and take the names of all else."""
    used: dict[str, str] = {}
    for element in root.iter():
        for value in element.attrib.values():
            for name in re.findall(r"^#(.+)$|url\(#([^)]+)\)", value):
                used.setdefault(next(filter(None, name)), f"n{len(used)}")
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in used:
            element.set("id", used[name])
        for key, value in element.attrib.items():
            element.set(key, re.sub(r"(?<=^#).+$|(?<=url\(#)[^)]+", lambda found: used[found[0]], value))


def _stripped(text: str | None) -> str | None:
    return text if text and text.strip() else None


def _shorter(name: str, value: str) -> str:
    if name == HREF and value.startswith(_PNG):
        return _PNG + _fewer_colours(value.removeprefix(_PNG))
    if name == "d":
        return _COMMAND.sub(r"\1", _NUMBER.sub(_rounded, value)).strip()
    if name == "transform":
        return _NUMBER.sub(_rounded, _NO_TURN.sub("", value)).strip()
    return _NUMBER.sub(_rounded, value) if name not in ("href", HREF, "id", "class") else value


def _rounded(found: re.Match[str]) -> str:
    text = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _fewer_colours(data: str) -> str:
    """A PNG of one colour in several opacities, in base64, with a palette."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        few = picture.convert("RGBA").quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)
        few.save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()
