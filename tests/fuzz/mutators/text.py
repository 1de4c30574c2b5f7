"""Line- and word-wise changes of text formats: Prometheus, perf script, tables of /proc, logs, options."""

import random
import re
from typing import Final

from tests.fuzz.mutators.binary import mutate_bytes
from tests.fuzz.mutators.values import NUMBERS, TEXTS, Raw

_WORD: Final = re.compile(r"[A-Za-z_0-9]+(?:\.[0-9]+)?|\s+|.", re.DOTALL)
_WORDS: Final = tuple(
    str(text) for text in (*TEXTS, *NUMBERS) if len(text if isinstance(text, Raw) else str(text)) < 6000
)
_SIGNS: Final = tuple('"{}[](),=:;#\\/-+*%@<>|\t\n\r\0\x1b ')


def mutate_text(data: bytes, rng: random.Random) -> bytes:
    """Changed words and lines, seldom bytes."""
    if rng.random() < 0.12:
        return mutate_bytes(data, rng)
    lines = data.decode(errors="replace").split("\n")
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change(lines, rng)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _change(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines)) if lines else 0
    kind = rng.randrange(8)
    if not lines or kind == 0:
        lines[at:at] = [rng.choice((*_WORDS, "", "# TYPE x y", "#"))]
    elif kind == 1:
        lines[at:at] = [lines[at]] * rng.choice((1, 2, 50))
    elif kind == 2:
        del lines[at : at + rng.choice((1, 1, 4))]
    elif kind == 3:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    else:
        lines[at] = _other_words(lines[at], lines, rng)


def _other_words(line: str, lines: list[str], rng: random.Random) -> str:
    words = _WORD.findall(line) or [""]
    at = rng.randrange(len(words))
    if words[at].isspace() and rng.random() < 0.7:
        at = rng.randrange(len(words))
    others = _WORD.findall(rng.choice(lines)) or [""]
    words[at] = rng.choice(
        (
            rng.choice(_WORDS),
            rng.choice(_WORDS),
            rng.choice(others),
            rng.choice(_SIGNS),
            words[at] + rng.choice(_SIGNS),
            words[at] * 2,
            "",
            words[at] + rng.choice(_WORDS),
        )
    )
    return "".join(words)
