"""The text of the pages that are made of what is not in docs/: README, commands, experiments, docstrings."""

import contextlib
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from mkdocs.exceptions import PluginError

from rwseg.commands import __main__ as program
from rwseg.report.play import write_play_page

ROOT = Path(__file__).resolve().parents[2]

MODULES = {
    "losses": "rwseg.losses",
    "theory": "rwseg.losses.theory",
    "battery": "rwseg.losses.battery",
    "maps": "rwseg.maps",
    "metrics": "rwseg.metrics",
    "statistics": "rwseg.statistics",
    "case": "rwseg.data.case",
    "stability": "rwseg.training.diagnostics.stability",
    "unet": "rwseg.models.unet",
    "errors": "rwseg.core.errors",
}
"""Page by page the modules whose public names users import."""


PLAY = """# Play with maps

Draw labels, choose a map and a prediction, and see where the loss pushes which class; what is shown, and how
it is tested, is said in [the theory](theory.md#a-page-to-play-with). [On a page of its own](play/page.html)
it takes the whole window, and `rwseg theory --play` opens it with labels of yours.

<iframe class="play" src="play/page.html" title="Maps, predictions and gradients to play with"></iframe>
"""


def pages() -> Iterator[tuple[str, str]]:
    """Names and texts of all pages."""
    for source, page in copies().items():
        yield page, (ROOT / source).read_text()
    yield from commands()
    yield from api()
    yield "experiments.md", experiments()
    yield "play.md", PLAY
    yield "play/page.html", play_page()


def copies() -> dict[str, str]:
    """The documents at the top of the repository, and their pages."""
    return {f"{name}.md": f"{name.lower()}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")}


def made_of() -> dict[str, str]:
    """Files outside docs/ that documents may link to, and the pages made of them."""
    found = {**copies(), "conf/experiment": "experiments.md", "rwseg/report/play/page.py": "play.md"}
    for name in program.COMMANDS:
        found[f"rwseg/commands/{name.replace('-', '_')}.py"] = f"commands/{name}.md"
    for page, name in MODULES.items():
        path = name.replace(".", "/")
        found[f"{path}.py" if (ROOT / f"{path}.py").is_file() else f"{path}/__init__.py"] = f"api/{page}.md"
    return found


def commands() -> Iterator[tuple[str, str]]:
    """A page for each command of `rwseg`: what it prints for `--help`, and the documents that it names."""
    for name, says in program.COMMANDS.items():
        text = printed(name, "--help")
        below = re.search(r"\{([\w,-]+)\} \.\.\.", text)
        helps = [text, *(printed(name, word, "--help") for word in (below[1].split(",") if below else ()))]
        blocks = "\n\n".join(f"```text\n{one.strip()}\n```" for one in helps)
        more = "".join(
            f"- [docs/{page}](../{page})\n" for page in sorted(set(re.findall(r"docs/(\S+?\.md)", text)))
        )
        yield f"commands/{name}.md", f"# rwseg {name}\n\n{says[0].upper()}{says[1:]}.\n\n{blocks}\n\n{more}"


def printed(*words: str) -> str:
    """What the command of these words prints, a hundred columns wide."""
    out, before = io.StringIO(), sys.argv
    os.environ["COLUMNS"], sys.argv = "100", ["rwseg", *words]
    try:
        with contextlib.redirect_stdout(out):
            status = program.main()
    except SystemExit as end:
        status = end.code
    finally:
        sys.argv = before
    if status or not out.getvalue():
        raise PluginError(f"rwseg {' '.join(words)}: expected help and exit status 0, got {status}")
    return out.getvalue()


def experiments() -> str:
    """One page of all files of conf/experiment/."""
    intro = (
        "Each is chosen by `rwseg train experiment=NAME`; its file says what it reproduces and at what cost."
    )
    files = sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
    text = [f"## {file.stem}\n\n```yaml\n{file.read_text().strip()}\n```\n" for file in files]
    return "\n".join([f"# Experiments\n\n{intro}\n", *text])


def play_page() -> str:
    """What `rwseg theory --play` opens."""
    with tempfile.TemporaryDirectory() as folder:
        return write_play_page(Path(folder) / "page.html").read_text()


def api() -> Iterator[tuple[str, str]]:
    """The pages that mkdocstrings fills from docstrings."""
    names = ("rwseg.load_run", "rwseg.models.inference.predictor.Predictor")
    yield "api/load_run.md", "\n".join(["# Trained runs\n", *(f"::: {name}\n" for name in names)])
    for page, name in MODULES.items():
        heading = "\n    options: {heading_level: 1}\n"
        yield f"api/{page}.md", f"---\ntitle: {name}\n---\n\n::: {name}{heading}"
