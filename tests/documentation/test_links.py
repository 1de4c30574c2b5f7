"""Links between pages, to files and to headings. MkDocs checks those of the site (`make docs`)."""

from pathlib import Path

import pytest

from tests.documentation.pages import PAGES, README, ROOT, anchors, links

ALL = (*PAGES, *(ROOT / name for name in ("CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md") if (ROOT / name).exists()))


def dead(page: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    lost = []
    for link in links(page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target.read_text())):
            lost.append(link)
    return lost


@pytest.mark.parametrize("page", ALL, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert dead(page) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](none.md) [b](#one-heading) [c](#no-heading) ![d](none.svg) [e](page.md)\n")
    assert dead(page) == ["none.md", "#no-heading", "none.svg"]


def test_the_glossary_is_linked_from_the_readme_and_the_method() -> None:
    assert "docs/reference/glossary.md" in README.read_text()
    assert "glossary.md" in (ROOT / "docs/explanation/method.md").read_text()
