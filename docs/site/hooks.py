"""What mkdocs does here besides its own: pages made of the code, links to them, a check of the site.

Links in the documents lead to files of the repository, to be followed in a viewer of repositories, too; on
the site a link to a file that a page is made of becomes a link to the page.
"""

import logging
import posixpath
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from made_pages import copies, made_of, pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from site_check import faults

LOG = logging.getLogger("mkdocs.site")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages made of the code, and put what matches into the lines of `nav` with a `*`."""
    for name, text in pages():
        files.append(File.generated(config, name, content=text))
    config.nav = expanded(config.nav, [file.src_uri for file in files.documentation_pages()])
    return files


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


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to the pages made of them."""
    if page.is_homepage or page.file.src_uri == "play.md":
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
