"""The options of `profile` as settings of a run."""

from dataclasses import fields
from typing import Any

import pytest

from meshinsight.options.dimensions import _SETTINGS, Dimensions
from profiler.errors import UsageError
from profiler.planning.settings import ProfileSettings


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, {}),
        ({"protocol": "tcp, http1,"}, {"protocols": ("tcp", "http1")}),
        ({"request_bytes": "128, 64KiB"}, {"request_bytes": (128, 65_536)}),
        ({"headers": "0, 20x100"}, {"headers": ((0, 32), (20, 100))}),
        ({"rate": "max,500"}, {"rates_rps": (None, 500.0)}),
        ({"connections": "1, 16", "workers": "2"}, {"connections": (1, 16), "workers": (2,)}),
        ({"placement": "free,apart"}, {"placements": ("free", "apart")}),
        ({"new_connections": True}, {"new_connections": (True,)}),
        ({"filter": ["rbac", "a + b"], "filter_file": ["/x.yaml"]},
         {"filters": ((), ("rbac",), ("a", "b"), ("/x.yaml",))}),
        ({"proxy_config": "/x.yaml", "seed": 0}, {"proxy_config": "/x.yaml", "seed": 0}),
    ],
)  # fmt: skip
def test_what_is_given_becomes_settings(given: dict[str, Any], settings: dict[str, Any]) -> None:
    assert Dimensions(**given).settings() == settings


@pytest.mark.parametrize(
    "given", [{"messages": "1,,2"}, {"rate": "\n"}, {"response_bytes": "0.3KiB"}, {"headers": "x"}]
)
def test_what_cannot_be_read_is_told_with_its_option(given: dict[str, Any]) -> None:
    option = f"--{next(iter(given)).replace('_', '-')}: expected a"
    with pytest.raises(UsageError, match=option) as refused:
        Dimensions(**given).settings()
    assert "\n" not in str(refused.value)


OF_SEVERAL = {"filter", "filter_file", "proxy_config", "proxy_binary", "proxy_version"}
"""Options that give filters and variants together; see `test_variants.py`."""


def test_every_option_gives_a_setting_of_a_run() -> None:
    assert {field.name for field in fields(Dimensions)} - OF_SEVERAL == set(_SETTINGS)
    assert {setting for setting, _ in _SETTINGS.values()} <= {field.name for field in fields(ProfileSettings)}
