"""One colour per component, the same in every chart and every run. Pure: no I/O.

The fixed components take the colours of Okabe and Ito ("Color Universal Design", 2008), which people with any of the
common colour-vision deficiencies tell apart; later components take Paul Tol's "muted" scheme.
"""

import zlib
from typing import Final

from predictor.models.types import UNEXPLAINED
from profiler.vocabulary import components

_FIXED: Final = {
    components.IPC: "#0072b2",
    components.SOCKET_READ: "#56b4e9",
    components.SOCKET_WRITE: "#009e73",
    components.EVENT_WAIT: "#f0e442",
    components.REDIRECT: "#cc79a7",
    components.PROXY_CORE: "#e69f00",
    components.PARSING: "#d55e00",
    components.RUNTIME: "#b5a642",
    components.TUNNEL: "#7f3c8d",
    components.QUEUEING: "#4b4f9e",
    components.OTHER: "#9a9a9a",
    UNEXPLAINED: "#7b5e43",
    "tls": "#882255",
    "filter:rbac": "#117733",
    "filter:fault": "#ddcc77",
    "filter:local_ratelimit": "#332288",
    "filter:lua": "#aa4499",
    "filter:wasm": "#44aa99",
    "filter:ext_authz": "#999933",
    "filter:access_log": "#661100",
    "filter:stats": "#6699cc",
}
MEASURED: Final = "#0072b2"
"""Points and intervals of predictions against measurements."""

VERDICTS: Final = {
    "worse": ("#d55e00", "up"),
    "better": ("#0072b2", "down"),
    "same": ("#6b7580", "box"),
    "inconclusive": ("#6b7580", "ring"),
    "unknown": ("#6b7580", "times"),
}
"""Colour and shape by the verdict of a difference: shapes tell them apart without colours, too."""

_OTHERS: Final = ("#117733", "#ddcc77", "#332288", "#aa4499", "#44aa99", "#999933", "#661100", "#6699cc")


def colour(component: str) -> str:
    """The colour of a component as `#rrggbb`; an unknown one gets a colour that depends on its name alone."""
    return _FIXED.get(component) or _OTHERS[zlib.crc32(component.encode()) % len(_OTHERS)]


def ink(component: str) -> str:
    """Black or white, whichever reads better on the component's colour (relative luminance as in WCAG 2)."""
    background = colour(component)
    red, green, blue = (_linear(int(background[start : start + 2], 16) / 255) for start in (1, 3, 5))
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000001" if luminance > 0.179 else "#ffffff"


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
