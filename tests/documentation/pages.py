"""The pages that people read, cut into what their tests check: prose, code blocks and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
README: Final = ROOT / "README.md"
PAGES: Final = (README, *sorted((ROOT / "docs").rglob("*.md")))

FENCE: Final = re.compile(r"^( *)```(?P<language>\S*)\n(?P<text>.*?)^\1```$", re.MULTILINE | re.DOTALL)
NEEDS: Final = re.compile(r"<!-- needs: (?P<what>[^>]+) -->\s*\Z")
LINK: Final = re.compile(r"\]\((?P<target>[^)\s]+)\)")
ITEM: Final = re.compile(r"^\s*(?:[-*]|\d+\.) ", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A code block. `needs` is what an HTML comment before it names: something that not every machine has."""

    page: Path
    line: int
    language: str
    text: str
    needs: str | None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for fence in FENCE.finditer(text):
        before = text[: fence.start()]
        needs = NEEDS.search(before)
        yield Block(page, before.count("\n") + 1, fence["language"], fence["text"], needs["what"] if needs else None)


def without_output(text: str) -> str:
    """A page without quotes of what programs print: fences of the language `text`, and code within a line."""
    without = FENCE.sub(lambda fence: "\n" * fence[0].count("\n") if fence["language"] == "text" else fence[0], text)
    return re.sub(r"(?<!`)`[^`\n]+`(?!`)", "` `", without)


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs, list items and table cells, without code blocks."""
    for part in re.split(r"\n\s*\n|^#.*$", FENCE.sub("\n\n", text), flags=re.MULTILINE):
        for item in ITEM.split(part):
            if item.lstrip().startswith("|"):
                yield from item.split("|")
            else:
                yield item


def sentences(text: str) -> Iterator[str]:
    """Sentences of paragraphs, list items and cells; link targets and fragments of three words or fewer left out."""
    for paragraph in paragraphs(text):
        plain = " ".join(LINK.sub("]", paragraph).split())
        yield from (part for part in re.split(r"(?<=[.:;?!])\s+(?=[A-Z*`(])", plain) if len(part.split()) > 3)


def links(text: str) -> Iterator[str]:
    """Targets of links and pictures outside code blocks that lead to files of the repository."""
    for link in LINK.finditer(FENCE.sub("", text)):
        if not re.match(r"[a-z]+:", link["target"]):
            yield link["target"]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as both MkDocs and code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower() for heading in headings)
    return {re.sub(r"\s", "-", heading) for heading in plain}
