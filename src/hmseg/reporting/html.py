"""A page as one HTML file: nothing is fetched, nothing runs, everything that came from records is escaped."""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hmseg.files import writing
from hmseg.reporting.page import Page
from hmseg.visualise.style import COLOURS


def html_of(page: Page) -> str:
    """The page; drawings, made by us with texts escaped, are the only parts that are put in as they are."""
    environment = Environment(
        loader=PackageLoader("hmseg.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["drawing"] = Markup
    return environment.get_template("page.html.j2").render(page=page, colours=COLOURS)


def write_html(page: Page, path: Path) -> None:
    """Writes the page, whole or not at all.

    Raises:
        OSError: the folder can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as file:
        file.write(html_of(page))
