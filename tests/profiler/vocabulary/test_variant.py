import pytest

from profiler.vocabulary.hop import BOTH, Hop
from profiler.vocabulary.protocols import HTTP1
from profiler.vocabulary.variant import Variant, distinct_names, family_id, variant_name


@pytest.mark.parametrize(
    ("text", "name"),
    [("1.38.2", "1.38.2"), ("my envoy", "my_envoy"), ("a/b@c", "a_b_c"), ("...", "variant"), ("x" * 99, "x" * 40)],
)
def test_a_name_can_be_a_part_of_cell_ids(text: str, name: str) -> None:
    assert variant_name(text) == name


def test_names_of_equal_files_are_told_apart() -> None:
    assert distinct_names(["envoy", "envoy", "envoy.2", "envoy"]) == ["envoy", "envoy.2", "envoy.2.2", "envoy.3"]


def test_a_hop_without_a_variant_is_called_as_before() -> None:
    assert Hop(HTTP1, BOTH, variant=Variant(binary="/opt/envoy")).name == "http1-both"


@pytest.mark.parametrize(
    ("hop", "name"),
    [
        (Hop(HTTP1, BOTH, variant=Variant("1.40.0", version="1.40.0")), "http1-both@1.40.0"),
        (
            Hop(HTTP1, BOTH, filters=("rbac", "/a.yaml"), variant=Variant("a", filter_file="/a.yaml")),
            "http1-both-rbac@a",
        ),
        (Hop(HTTP1, BOTH, bootstrap="/a.yaml", variant=Variant("a", bootstrap="/a.yaml")), "http1-both@a"),
    ],
)
def test_what_a_variant_has_instead_is_not_in_the_name_of_its_family(hop: Hop, name: str) -> None:
    assert hop.name == name


def test_ids_of_one_family_are_equal_without_the_variant() -> None:
    assert (
        family_id("http1-both@b-hot-q1-s2", "b") == family_id("http1-both@a-hot-q1-s2", "a") == "http1-both-hot-q1-s2"
    )
