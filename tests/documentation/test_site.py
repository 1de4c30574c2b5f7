"""The site: the command line's reference, links out of docs/, and the list of pages."""

import logging
import re
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from docs.tools import cli_reference, site
from tests.documentation.pages import FENCE, PAGES, ROOT


def test_the_reference_has_every_command_with_its_help() -> None:
    commands = cli_reference.commands()
    assert {("predict",), ("graph", "check"), ("profile",)} <= set(commands)
    assert "--crossing-share" in cli_reference.help_of(("predict",))


def test_the_reference_is_put_on_its_page_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "reference", lambda: "## meshinsight profile\n")

    def page(source: str) -> SimpleNamespace:
        return SimpleNamespace(file=SimpleNamespace(src_uri=source))

    assert site.on_page_markdown("# C\n", page("reference/cli.md")).endswith("## meshinsight profile\n")
    assert site.on_page_markdown("# C\n", page("index.md")) == "# C\n"


def test_links_out_of_docs_become_paths(caplog: pytest.LogCaptureFixture) -> None:
    text = "[schema](../../predictor/graph/schema.json) [`Makefile`](../../Makefile#x) [m](../explanation/method.md)"
    assert site.with_paths(text, "reference/a.md") == (
        "schema (`predictor/graph/schema.json`) `Makefile` [m](../explanation/method.md)"
    )
    assert not caplog.records


def test_a_link_to_a_missing_file_is_a_warning_which_fails_a_strict_build(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        site.with_paths("[a](../../none.json)", "reference/a.md")
    assert [(record.name, record.levelname) for record in caplog.records] == [(site.LOG.name, "WARNING")]
    assert site.LOG.name.startswith("mkdocs")  # strict builds count the warnings below this name


ITEM_OR_TABLE = re.compile(r"[-*|] |\d+\. ")


def joined_to_a_paragraph(text: str) -> list[str]:
    """First lines of lists and tables that MkDocs takes for a part of the paragraph before them."""
    lines = FENCE.sub("", text).splitlines()
    return [
        line
        for before, line in pairwise(lines)
        if ITEM_OR_TABLE.match(line) and before.strip() and not re.match(r"[-*|#]|\d+\. | {2}", before)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lists_and_tables_follow_a_blank_line(page: Path) -> None:
    assert joined_to_a_paragraph(page.read_text()) == []


def test_a_list_or_number_that_continues_a_paragraph_is_found() -> None:
    assert joined_to_a_paragraph("Text:\n- a\n- b\n  more\n- c\n\n- d\n") == ["- a"]
    assert joined_to_a_paragraph("beyond\n64. They\n\n| a |\n|---|\n# H\n| b |\n") == ["64. They"]


def test_every_page_is_in_the_list_of_pages() -> None:
    def listed(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else []
        return [page for part in parts for page in listed(part)]

    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(listed(nav)) == sorted(pages)
