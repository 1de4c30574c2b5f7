from dataclasses import replace
from pathlib import Path

import pytest

from profiler.errors import UsageError
from profiler.proxies.own_program import identify
from profiler.proxies.registry import find_proxy, proxies, proxy_of
from profiler.vocabulary.hop import BOTH, Hop
from profiler.vocabulary.protocols import HTTP1
from profiler.vocabulary.variant import Variant

ENVOY = "/opt/envoy  version: 0123456789abcdef/1.41.0/Clean/{build}/BoringSSL"


def program(folder: Path, prints: str, mode: int = 0o755) -> Variant:
    file = folder / "envoy"
    file.write_text(f"#!/bin/sh\necho '{prints}'\n")
    file.chmod(mode)
    return Variant(binary=str(file))


def refused(variant: Variant, proxy: str = "envoy") -> str:
    with pytest.raises(UsageError) as caught:
        identify(proxy, variant)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_version_is_the_one_that_the_program_prints(tmp_path: Path) -> None:
    found = identify("envoy", program(tmp_path, ENVOY.format(build="RELEASE")))
    assert (found.version, found.build) == ("1.41.0", "RELEASE")
    assert len(found.binary_sha256) == 64


def test_a_debug_build_is_refused(tmp_path: Path) -> None:
    assert "is a DEBUG build of Envoy" in refused(program(tmp_path, ENVOY.format(build="DEBUG")))


@pytest.mark.parametrize("proxy", sorted(proxies()))
@pytest.mark.parametrize("prints", ["", "hello", "a b c d/e"])
def test_a_program_that_is_no_such_proxy_is_refused(tmp_path: Path, proxy: str, prints: str) -> None:
    variant = program(tmp_path, prints)
    assert refused(variant, proxy).startswith(f"--proxy-binary {variant.binary}: is not {proxy}")


def test_a_program_that_fails_is_refused() -> None:
    assert refused(Variant(binary="/bin/false")).startswith("--proxy-binary /bin/false: is not envoy")


def test_a_file_that_users_cannot_execute_is_refused(tmp_path: Path) -> None:
    assert "is not executable by every user" in refused(program(tmp_path, "", 0o700))


@pytest.mark.parametrize(
    ("path", "said"), [("/nonexistent", "No such file"), ("/tmp", "is not a file"), ("/a\0b", "null")]
)
def test_a_path_without_a_program_is_refused(path: str, said: str) -> None:
    assert said in refused(Variant(binary=path))


def test_a_version_is_blamed_where_the_program_came_from_one(tmp_path: Path) -> None:
    variant = replace(program(tmp_path, "hello"), version="1.41.0")
    assert refused(variant).startswith("--proxy-version 1.41.0: is not envoy")


@pytest.mark.parametrize("name", sorted(proxies()))
def test_a_hop_runs_the_program_of_its_variant(name: str) -> None:
    hop = Hop(HTTP1, BOTH, proxy=name, variant=Variant(binary="/opt/own"))
    assert proxy_of(hop).executable() == Path("/opt/own")
    assert proxy_of(replace(hop, variant=Variant())) is find_proxy(name)
