"""Values that parsers stumble over, as JSON has them, and text written into a document as it is."""

import random
from typing import Any, Final


class Raw(str):
    """Text that stands in the document as it is, whether or not the format knows it."""

    __slots__ = ()


_LARGEST: Final = 1e280
DEPTHS: Final = (30, 100, 700, 3000)

NUMBERS: Final[tuple[Any, ...]] = (
    0, 1, -1, 2, 7, 100, 255, 256, 65535, 2**31, -(2**31) - 1, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1,
    0.5, 1.0, -0.5, 1e-300, 5e-324, 1e18, 1.5e18, 1e19, 1e300, 1.7976931348623157e308, -1e308,
    Raw("-0"), Raw("1e999"), Raw("-1e999"), Raw("NaN"), Raw("Infinity"), Raw("-Infinity"), Raw("0x10"), Raw("1_000"),
    Raw("1" + "0" * 400), Raw("9" * 5000), Raw("0." + "1" * 2000),
)  # fmt: skip
TEXTS: Final[tuple[Any, ...]] = (
    "", " ", "a", "A", "0", "-1", "1.5", "1e400", "nan", "inf", "true", "null", "x" * 300, "x" * 20_000, "é", "日本",
    "😀", "\n", "a\nb", "a\r\nb", "\t", "\x00", "\x07", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b31m", "\x7f",
    "\x85", "\u2028", "\u202egnp.exe", "\u2066hidden\u2069", "\u200f", "\ufeff", "\ufffe", "e\u0301" * 50,
    Raw('"\\ud800"'), Raw('"\\udfff x"'), Raw('"\\ud83d\\ude00"'), Raw('"\\u0000"'), Raw('"\\u001b[2J"'), Raw('"\\q"'),
    "=1+1", "+1", "@x", "-x", "../../x", "/etc/passwd", "/dev/zero", "/proc/self/mem", "*", "**", "[", "a->b", "->",
    "%s%n", "{}", "{0}", "${x}", "$$", "$(x)", "; touch x", "'", '"', "\\", "<script>", "[red]x[/red]", "[/]",
    "1ms", "1ns", "1e30s", "-1ms", "1 h", "4KiB", "1e30GiB", "200/s", "1e400/s", "10%", "99999999999999999999",
    "http1", "grpc", "tcp", "hot", "both", "none", "envoy", "*.tls=none",
)  # fmt: skip


def scalar(rng: random.Random) -> Any:
    """A number, text, boolean or null."""
    return rng.choice((*rng.choice((NUMBERS, TEXTS, (None, True, False))),))


def value(rng: random.Random) -> Any:
    """Any value: mostly a scalar, sometimes a small or a very deep collection."""
    kind = rng.random()
    if kind < 0.75:
        return scalar(rng)
    if kind < 0.95:
        one = scalar(rng)
        return rng.choice(([], {}, [one], [one, one], {"a": one}, {"": {}}, [[]], [{}], {str(one)[:40]: one}, [None]))
    return deep(rng)


def deep(rng: random.Random) -> Raw:
    """A collection nested very deep."""
    depth = rng.choice(DEPTHS)
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ('{"a":[', "]}"), ('[{"values":', "}]")))
    return Raw(opening * depth + "1" + closing * (depth if rng.random() < 0.8 else depth // 2))


def near(old: Any, rng: random.Random) -> Any:
    """A value close to the old one, so that the first checks let it pass."""
    if isinstance(old, bool) or old is None:
        return rng.choice((None, True, False, 0, 1, "true"))
    if isinstance(old, int | float) and abs(old) < _LARGEST:
        return rng.choice(
            (
                -old,
                old + 1,
                old - 1,
                old * 2,
                old * 1000,
                old * 1e12,
                old / 7,
                float(old),
                str(old),
                [old],
                old * 10**25,
            )
        )
    if isinstance(old, str):
        return rng.choice((near_text(old, rng), [old]))
    return value(rng)


def near_text(old: str, rng: random.Random) -> str:
    """A text close to the old one."""
    middle = rng.randrange(len(old) + 1)
    extra = str(rng.choice([text for text in TEXTS if not isinstance(text, Raw) and len(text) < 1000]))
    return rng.choice(
        (old[:middle] + extra + old[middle:], old[:middle], old + old, old.upper(), old + extra, f" {old} ")
    )
