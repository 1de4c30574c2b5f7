"""A report as one HTML file that needs nothing else: no scripts, fonts, pictures or style sheets from outside."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TextIO

from meshinsight.reports.page import Page
from meshinsight.reports.report import Report
from profiler.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from meshinsight.reports.figures import Figure

_OVER_BOUND: Final = " !"


def render(report: Report, stream: TextIO) -> None:
    """Write one report as a page."""
    stream.write(render_page(Page(report.title, [report])))


def render_page(page: Page) -> str:
    """The whole page. Text in it comes from foreign files: the template escapes all of it."""
    return _environment().get_template("page.html.j2").render(page=page)


def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("meshinsight.reports.renderers", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters |= {
        "slug": _slug,
        "drawn": _drawn,
        "legend": _legend,
        "kind": lambda figure: type(figure).__name__.lower(),
    }
    environment.tests["over_bound"] = lambda text: text.endswith(_OVER_BOUND)
    return environment


def _printable(value: object) -> object:
    """Text without characters that do more than show; what is marked as safe stays as it is.

    A figure and its percent sign stay on one line.
    """
    if type(value) is not str:
        return value
    return "\n".join(map(printable, value.split("\n"))).replace(" %", "\N{NO-BREAK SPACE}%")


def _slug(text: str) -> str:
    """A text as part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _drawn(figure: "Figure") -> "Markup":
    """A chart, whose text its drawing has escaped."""
    from markupsafe import Markup

    from meshinsight.reports.renderers import charts

    return Markup(charts.draw(figure))  # noqa: S704 - matplotlib and `escape` have made all text in it harmless


def _legend(figure: "Figure") -> "Sequence[object]":
    from meshinsight.reports.renderers.legends import legend

    return legend(figure)
