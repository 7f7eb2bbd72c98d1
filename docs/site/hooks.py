"""The pages that mkdocs makes of what is not in docs/: README, commands, experiments, docstrings.

Links in the documents lead to files of the repository, to be followed in a viewer of repositories, too; on
the site a link to a file that a page is made of becomes a link to the page.
"""

import contextlib
import io
import logging
import os
import posixpath
import re
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_check import faults

from rwseg.commands import __main__ as program

ROOT = Path(__file__).resolve().parents[2]
LOG = logging.getLogger("mkdocs.site")

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


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and put the files that match into the lines of `nav` with a `*`."""
    for source, page in copies().items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    for page, text in (*commands(), ("experiments.md", experiments()), *api()):
        files.append(File.generated(config, page, content=text))
    pages = [file.src_uri for file in files.documentation_pages()]
    config.nav = expanded(config.nav, pages)
    return files


def copies() -> dict[str, str]:
    """The documents at the top of the repository, and their pages."""
    return {f"{name}.md": f"{name.lower()}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")}


def made_of() -> dict[str, str]:
    """Files outside docs/ that documents may link to, and the pages made of them."""
    found = {**copies(), "conf/experiment": "experiments.md"}
    for name in program.COMMANDS:
        found[f"rwseg/commands/{name.replace('-', '_')}.py"] = f"commands/{name}.md"
    for page, name in MODULES.items():
        path = name.replace(".", "/")
        found[f"{path}.py" if (ROOT / f"{path}.py").is_file() else f"{path}/__init__.py"] = f"api/{page}.md"
    return found


def expanded(nav: Any, pages: list[str]) -> Any:
    """`nav` with each pattern replaced by the pages that match it and that no other line has."""
    named = set(re.findall(r"[\w/.-]+\.md", repr(nav)))

    def of(item: Any) -> list[Any]:
        if isinstance(item, dict):
            return [{title: expand(below) for title, below in item.items()}]
        return [p for p in pages if fnmatch(p, item) and p not in named] if "*" in item else [item]

    def expand(below: Any) -> Any:
        return [entry for item in below for entry in of(item)] if isinstance(below, list) else below

    return expand(nav)


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


def api() -> Iterator[tuple[str, str]]:
    """The pages that mkdocstrings fills from docstrings."""
    names = ("rwseg.load_run", "rwseg.models.inference.predictor.Predictor")
    yield "api/load_run.md", "\n".join(["# Trained runs\n", *(f"::: {name}\n" for name in names)])
    for page, name in MODULES.items():
        heading = "\n    options: {heading_level: 1}\n"
        yield f"api/{page}.md", f"---\ntitle: {name}\n---\n\n::: {name}{heading}"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to the pages made of them."""
    if page.is_homepage:
        page.meta["hide"] = ["navigation", "toc"]
    here = {page_: source for source, page_ in copies().items()}.get(page.file.src_uri)
    here = here or f"docs/{page.file.src_uri}"

    def link(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(here), match[1]))
        in_site = target.removeprefix("docs/") if target.startswith("docs/") else made_of().get(target)
        if in_site is None:
            return match[0]
        return f"]({posixpath.relpath(in_site, posixpath.dirname(page.file.src_uri) or '.')}{match[2] or ''})"

    return re.sub(r"\]\(([^)\s#:]+)(#[^)]*)?\)", link, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let names such as `rwseg.maps.rrw_map` lead to their place in the API, wherever it has them.

    In a table `|` in code is written with a backslash, which this Markdown, unlike others, would show.
    """
    html = re.sub(r"<code>[^<]*</code>", lambda code: code[0].replace("\\|", "|"), html)
    return re.sub(
        r"<code>(rwseg(?:\.\w+)+)</code>(?!</a>)",
        r'<autoref optional identifier="\1"><code>\1</code></autoref>',
        html,
    )


def on_post_build(config: MkDocsConfig) -> None:
    """Warn of dead links and of Markdown that was not understood; in strict mode a warning ends the build."""
    for fault in faults(Path(config.site_dir)):
        LOG.warning(fault)
