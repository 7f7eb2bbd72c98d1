"""The templates of pages that are one HTML file: the report, and the page to play with."""

from pathlib import Path

import jinja2


def page_templates(folder: Path) -> jinja2.Environment:
    """Return the Jinja templates in `folder`: text is escaped, and a name without a value is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
