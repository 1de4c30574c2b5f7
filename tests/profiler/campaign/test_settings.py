from typing import Any

import pytest

from profiler.campaign.settings import ProfileSettings
from profiler.errors import UsageError


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"protocols": ("quic",)}, "--protocol: unknown protocol 'quic'; known: tcp, http1"),
        ({"topologies": ("left",)}, "--topology: unknown topology 'left'"),
        ({"temperatures": ("warm",)}, "--temperature: unknown temperature 'warm'"),
        ({"idle": "deep"}, "--idle: unknown idle 'deep'"),
        ({"request_bytes": (-1,)}, "--request-bytes: -1 is outside 0 to 1048576"),
        ({"response_bytes": (1 << 21,)}, "--response-bytes: 2097152 is outside"),
        ({"connections": (0,)}, "--connections: 0 is outside 1 to 1000"),
        ({"rates_rps": (0.0,)}, "--rate: 0 is outside 1 to"),
        ({"rates_rps": (float("nan"),)}, "--rate: nan is outside"),
        ({"duration_s": -1.0}, "--duration: -1 is outside"),
        ({"repeats": 1}, "--repeats: 1 is outside 2 to"),
        ({"protocols": ()}, "--protocol: at least one value is needed"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        ProfileSettings(**wrong)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_settings_are_kept_as_given_with_max_for_a_closed_loop() -> None:
    kept = ProfileSettings(rates_rps=(None, 500.0)).as_json()
    assert kept["rates_rps"] == ["max", 500.0]
