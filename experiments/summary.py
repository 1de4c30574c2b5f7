"""Puts the results of all experiments on one page, docs/results.md.

Usage: python experiments/summary.py
Reads each folder's README.md (its title), result.json (the finding, where there is one) and result.md.
"""

import json
import re
from pathlib import Path
from typing import Final

from profiler.files.writing import write_whole

HERE: Final = Path(__file__).parent
PAGE: Final = HERE.parent / "docs" / "results.md"
ORDER: Final = (
    "headline", "components", "size_sweep", "rate_sweep", "connection_sweep", "filter_costs", "proxies",
    "temperature", "application_graphs", "what_ifs", "independent_harness", "own_overhead", "attach_overhead",
    "cluster_agreement", "repeatability", "load_generators", "user_time", "import_speed", "batch_speed",
)  # fmt: skip
INTRODUCTION: Final = """\
# Results
What the [experiments](../experiments/README.md) found, each with its plot; tables, commands, matrices and environments
are in the folders. All were measured on small virtual machines of shared hosts: quote ratios within one run, not
absolute times. Written by `python experiments/summary.py`.
"""


def main() -> None:
    """Write the page."""
    sections = [section(HERE / name) for name in ORDER if (HERE / name / "result.md").exists()]
    write_whole(PAGE, "\n".join([INTRODUCTION, *sections]))
    print(f"{PAGE.relative_to(HERE.parent)}: {len(sections)} experiments")


def section(folder: Path) -> str:
    """One experiment: title, what was found, the plot, where to read on."""
    title = (folder / "README.md" if (folder / "README.md").exists() else folder / "result.md").read_text()
    heading = title.splitlines()[0].lstrip("# ").strip()
    place = f"../experiments/{folder.name}"
    parts = [f"## {heading}", found(folder)]
    if (folder / "result.png").exists():
        parts.append(f"![{folder.name}]({place}/result.png)")
    parts.append(f"More: [{folder.name}/result.md]({place}/result.md)")
    return "\n\n".join(parts) + "\n"


def found(folder: Path) -> str:
    """The finding with its verdict, else the first list of the result, else its first paragraph."""
    file = folder / "result.json"
    finding = json.loads(file.read_text()).get("finding") if file.exists() else None
    if not finding:
        text = (folder / "result.md").read_text()
        paragraphs = [part.strip() for part in re.split(r"\n\s*\n|^#.*\n", text, flags=re.MULTILINE)]
        texts = [part for part in paragraphs if part and part[0] not in "#|!`"]
        return next((part for part in texts if part.startswith("- ")), texts[0])
    verdict = f"\n\nPublished: *{finding['published']}* ({finding['source']}). **Holds here: {finding['holds']}.**"
    return str(finding["text"]) + (verdict if finding["published"] else "")


if __name__ == "__main__":
    main()
