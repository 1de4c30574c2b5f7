"""Hooks of MkDocs: the command line's reference, and links to files of the repository that are no pages.

The pages are read in the repository as well as on the site. There is no public repository to link to yet, so a link
that leaves `docs/` becomes the path of the file that it names. A path that does not exist fails a strict build.
"""

import logging
import os.path
import re
from pathlib import Path
from typing import Any, Final

from docs.tools.cli_reference import reference

ROOT: Final = Path(__file__).parents[2]
CLI_PAGE: Final = "reference/cli.md"
LINK: Final = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)\s#]*)(#[^)\s]*)?\)")
LOG: Final = logging.getLogger("mkdocs.hooks.meshinsight")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs with the text of each page."""
    if page.file.src_uri == CLI_PAGE:
        markdown += "\n" + reference()
    return with_paths(markdown, page.file.src_uri)


def with_paths(markdown: str, source: str) -> str:
    """The text of the page `source` (relative to docs/) with its links to files outside docs/ as paths."""

    def path_of(link: re.Match[str]) -> str:
        path = os.path.normpath(os.path.join("docs", os.path.dirname(source), link["target"]))  # noqa: PTH118, PTH120 (pure text)
        if path.startswith("docs/"):
            return link[0]
        if not (ROOT / path).exists():
            LOG.warning("%s: a link leads to %s, which does not exist", source, path)
        named = f"/{path}".endswith(f"/{link['text'].strip('`').rstrip('/')}")
        return f"`{path}`" if named else f"{link['text']} (`{path}`)"

    return LINK.sub(path_of, markdown)
