from pathlib import Path

import pytest

from meshinsight.options.dimensions import Dimensions
from meshinsight.options.variants import variants_of
from profiler.errors import UsageError
from profiler.vocabulary.variant import Variant


def test_no_option_makes_no_variant() -> None:
    assert variants_of(Dimensions(filter_file=["a.yaml"], proxy_config="a.yaml")) == ()


def test_one_program_has_no_name_so_that_cells_keep_theirs() -> None:
    assert variants_of(Dimensions(proxy_version="1.40.0")) == (Variant(version="1.40.0"),)


def test_each_version_is_a_variant_in_the_order_given() -> None:
    found = variants_of(Dimensions(proxy_version="1.38.2, 1.40.0"))
    assert [(one.name, one.version) for one in found] == [("1.38.2", "1.38.2"), ("1.40.0", "1.40.0")]


def test_the_same_file_twice_gives_two_names() -> None:
    found = variants_of(Dimensions(proxy_binary="/opt/envoy,/opt/envoy"))
    assert [(one.name, one.binary) for one in found] == [("envoy", "/opt/envoy"), ("envoy.2", "/opt/envoy")]


def test_every_combination_is_a_variant() -> None:
    found = variants_of(Dimensions(proxy_version="1.38.2,1.40.0", filter_file=["none,f/lua.yaml"]))
    assert [one.name for one in found] == ["1.38.2+none", "1.38.2+lua", "1.40.0+none", "1.40.0+lua"]
    assert [one.filter_file for one in found] == ["", str(Path("f/lua.yaml").resolve())] * 2


def test_what_all_variants_share_is_not_in_their_names() -> None:
    found = variants_of(Dimensions(proxy_version="1.40.0", proxy_config="a.yaml,b.yaml"))
    assert [(one.name, one.version) for one in found] == [("a", "1.40.0"), ("b", "1.40.0")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Dimensions(proxy_version="1.38.2,"), "--proxy-version 1.38.2,: a part of the list is empty"),
        (Dimensions(filter_file=["a,b", "c,d"]), "--filter-file: two lists"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(given: Dimensions, said: str) -> None:
    with pytest.raises(UsageError, match="^" + said):
        variants_of(given)


def test_a_list_of_filters_does_not_add_a_chain() -> None:
    assert "filters" not in Dimensions(filter_file=["none,a.yaml"]).settings()
