"""What is wrong with a site: dead links and anchors, things from elsewhere, Markdown left as text.

python docs/site/site_check.py build/site
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("link", "href")}
LEFT = re.compile(r"`|\]\(|\*\*\w|^\s*(?:[-*]|1\.)\s", re.MULTILINE)
"""Signs of a code span, link, bold or list that the Markdown of the site did not take as one."""


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.prose: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value is not None}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.loaded += [values[name] for of, name in LOADED if of == tag and name in values]
        if tag in ("p", "code", "pre", "script", "style"):
            self._inside.append(tag)
            if tag == "p":
                self.prose.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._inside == ["p"]:
            self.prose[-1] += data
        elif self._inside[:1] == ["p"]:
            self.prose[-1] += "_"  # a code span


def faults(site: Path) -> list[str]:
    """A line per fault in the HTML files below `site`; none means that all of it can be read from a disk."""
    pages = {
        path: _Page(path.read_text()) for path in sorted(site.rglob("*.html")) if path.name != "404.html"
    }
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name}: {url} is not of the site" for url in page.loaded if urlsplit(url).netloc]
        found += [
            f"{name}: Markdown left as text: {text.strip()[:90]}" for text in page.prose if LEFT.search(text)
        ]
        for url in (*page.links, *page.loaded):
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name}: {url} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{name}: {url} has no such heading")
    return found


if __name__ == "__main__":
    lines = faults(Path(sys.argv[1]).resolve())
    print("\n".join(lines) or "no faults")
    raise SystemExit(bool(lines))
