"""Variants in a plan: all in one block, with separate rungs only where they differ."""

from dataclasses import replace
from pathlib import Path

import pytest

from profiler.errors import UsageError
from profiler.planning.blocks import make_blocks
from profiler.planning.cells import ladder, make_plan
from profiler.planning.choice import HopChoice
from profiler.planning.settings import ProfileSettings
from profiler.vocabulary.variant import Variant

VERSIONS = (Variant("a", version="1.38.2"), Variant("b", version="1.40.0"))
PLAIN = ProfileSettings(protocols=("http1",), topologies=("both",), temperatures=("hot",))
LUA = """name: envoy.filters.http.lua
typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua}
"""


@pytest.fixture
def lua(tmp_path: Path) -> str:
    file = tmp_path / "lua.yaml"
    file.write_text(LUA)
    return str(file)


def names(settings: ProfileSettings) -> list[str]:
    return [cell.hop.name for cell in make_plan(settings).cells]


def test_each_version_has_its_own_ladder() -> None:
    settings = replace(PLAIN, variants=VERSIONS)
    assert names(settings) == ["http1-both@a", "http1-both@b", "tcp-both@a", "tcp-both@b"]


def test_the_variant_without_a_filter_is_the_rung_below_it(lua: str) -> None:
    settings = replace(PLAIN, variants=(Variant("none"), Variant("lua", filter_file=lua)))
    assert names(settings) == ["http1-both", "http1-both@lua", "tcp-both"]


def test_variants_of_a_filter_share_the_rungs_below_it(lua: str) -> None:
    settings = replace(PLAIN, variants=(Variant("lua", filter_file=lua), Variant("lua.2", filter_file=lua)))
    assert names(settings) == ["http1-both@lua", "http1-both@lua.2", "tcp-both", "http1-both"]


def test_the_last_rung_is_the_hop_itself(lua: str) -> None:
    settings = replace(PLAIN, protocols=("tcp", "http1"), tls=("none", "mtls"), filters=((), ("rbac",)))
    for variants in ((), VERSIONS, (Variant("none"), Variant("lua", filter_file=lua))):
        for cell in make_plan(replace(settings, variants=variants)).asked:
            assert ladder(cell.hop)[-1].hop == cell.hop


def test_a_hop_that_one_variant_cannot_have_is_left_out(lua: str) -> None:
    settings = replace(PLAIN, protocols=("tcp", "http1"), variants=(Variant("none"), Variant("lua", filter_file=lua)))
    assert {cell.hop.protocol for cell in make_plan(settings).asked} == {"http1"}


def test_chosen_hops_are_measured_in_every_variant() -> None:
    settings = replace(PLAIN, variants=VERSIONS, hops=(HopChoice("http1", "both"),))
    assert [cell.hop.variant.name for cell in make_plan(settings).asked] == ["a", "b"]


def test_all_variants_of_a_hop_are_in_one_block() -> None:
    settings = ProfileSettings(protocols=("tcp", "http1", "http2", "grpc"), variants=VERSIONS)
    blocks = make_blocks(make_plan(settings).asked)
    assert len(blocks) > 1
    assert max(len(block.plan.hops) for block in blocks) <= 15
    for block in blocks:
        sides = [{cell.hop.family for cell in block.plan.asked if cell.hop.variant == variant} for variant in VERSIONS]
        assert sides[0] == sides[1]


def test_five_programs_with_mutual_tls_are_one_block() -> None:
    five = tuple(Variant(f"v{number}", version=f"1.{number}.0") for number in range(5))
    chosen = ProfileSettings(protocols=("grpc",), tls=("none", "mtls"), topologies=("both",), temperatures=("hot",))
    (block,) = make_blocks(make_plan(replace(chosen, variants=five)).asked)
    assert len({cell.hop.variant for cell in block.plan.asked}) == 5


def test_more_variants_than_can_run_side_by_side_are_refused() -> None:
    many = tuple(Variant(f"v{number}", version=f"1.{number}.0") for number in range(12))
    with pytest.raises(UsageError, match=r"^12 variants of http1-both: cannot run next to each other"):
        make_blocks(make_plan(replace(PLAIN, variants=many)).asked)


def test_settings_with_variants_are_kept_and_read_back() -> None:
    settings = replace(PLAIN, variants=VERSIONS)
    assert ProfileSettings.from_json(settings.as_json()) == settings


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"variants": (Variant("a"), Variant("a"))}, "--variants: each needs a name"),
        ({"variants": (Variant("a@b"), Variant("c"))}, "--variants: 'a@b' cannot be a part"),
        ({"variants": (Variant(version="newest"),)}, "--proxy-version: expected a version of Envoy"),
        ({"variants": VERSIONS, "proxies": ("nginx",)}, "--proxy-version: is one of Envoy"),
        ({"variants": (Variant(binary="/x"),), "proxies": ("envoy", "nginx")}, "--proxy-binary: is a program of one"),
        ({"variants": VERSIONS, "topologies": ("none",)}, "--topology none: there is no sidecar"),
    ],
)
def test_variants_that_cannot_be_measured_are_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match="^" + said):
        replace(PLAIN, **changed)  # type: ignore[arg-type]
