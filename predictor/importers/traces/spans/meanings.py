"""What spans' attributes mean, remembered by their bytes: most spans of a file are like earlier ones."""

from collections.abc import Callable, Hashable
from typing import Any, Final

from predictor.importers.traces.spans.attributes import CATEGORICAL, SIZES, interpret, sizes
from predictor.importers.traces.spans.operations import telling
from predictor.importers.traces.spans.spans import Vocabulary

MOST_REMEMBERED: Final = 20_000

Pairs = list[tuple[str, Any]]


def remember(memory: dict[Any, Any], what: Hashable, meaning: Any, most: int = MOST_REMEMBERED) -> None:
    """Keep a meaning; a memory that is full is emptied first."""
    if len(memory) >= most:
        memory.clear()
    memory[what] = meaning


class Meanings:
    """The codes of facts by what a format holds of a span: `kind`, attributes not yet decoded, and the operation."""

    def __init__(self, words: Vocabulary) -> None:
        self._words = words
        self._codes: dict[Hashable, int] = {}
        self.known = self._codes.get
        """The code of the facts of such a span, if one without sizes was seen before; else None."""
        self.label = telling
        """What of an operation matters; nothing for nearly all."""

    def learn(
        self, what: Hashable, pairs: Pairs, kind: int, label: str, more: Callable[[int], tuple[int, int]] | None = None
    ) -> tuple[int, tuple[int, int]]:
        """The code of the facts in `pairs` and the sizes; `more` gives sizes by kind where attributes have none.

        Only spans without sizes are remembered: these are seldom the same.
        """
        facts = interpret([pair for pair in pairs if pair[0] in CATEGORICAL], kind, label)
        code = self._words.facts.code(facts)
        sized = [pair for pair in pairs if pair[0] in SIZES]
        request, response = sizes(sized)
        if more is not None and min(request, response) < 0:
            sent = more(facts.kind)
            request, response = (request if request >= 0 else sent[0]), (response if response >= 0 else sent[1])
        if not sized and more is None:
            remember(self._codes, what, code)
        return code, (request, response)
