"""Meshes: those that come along, and what a wrong file is told."""

from importlib import resources
from pathlib import Path

import pytest

from profiler.cluster.objects.mesh import Reading, filled, load_mesh, mesh_names, said_by_object
from profiler.errors import UsageError
from profiler.vocabulary.hop import Hop

GOOD = """\
name: own
description: A mesh of the user's.
inject:
  labels: {mesh: "on"}
proxy: {container: p, process: p}
protocols:
  http1: {port_name: http}
tls:
  none: {}
"""


def own(folder: Path, text: str = GOOD) -> str:
    path = folder / "own.yaml"
    path.write_text(text)
    return str(path)


def test_four_meshes_come_along() -> None:
    assert mesh_names() == ("builtin", "istio", "linkerd", "none")
    assert [load_mesh(name).name for name in mesh_names()] == list(mesh_names())


def test_a_mesh_can_be_a_file_of_the_users(tmp_path: Path) -> None:
    assert load_mesh(own(tmp_path)).inject.labels == {"mesh": "on"}


def test_permissive_mutual_tls_is_a_copy_of_istios_file(tmp_path: Path) -> None:
    text = Path(str(resources.files("profiler.cluster.objects").joinpath("meshes", "istio.yaml"))).read_text()
    copy = load_mesh(own(tmp_path, text.replace("STRICT", "PERMISSIVE")))
    assert [made["spec"]["mtls"] for made in copy.tls["mtls"].objects] == [{"mode": "PERMISSIVE"}]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("inject:", "injct:"), r"own\.yaml:3: unknown key 'injct'; known: name, description,"),
        (("port_name: http", "port: http"), r"own\.yaml:7: .*'port'"),
        (("container: p", "container: 7"), r"own\.yaml:5: proxy\.container: 7 is not of type 'string'"),
        (('mesh: "on"', "mesh: true"), r"own\.yaml:4: inject\.labels\.mesh: True is not of type 'string'"),
        (
            ('mesh: "on"', 'mesh: "${pot}"'),
            r"inject\.labels\.mesh: unknown placeholder in '\$\{pot\}'; known: \$\{workers\}",
        ),
        (("description: A", "description: [A"), r"own\.yaml:\d+:\d+: invalid YAML"),
        (("tls:\n  none: {}\n", ""), "needs the keys proxy, protocols and tls"),
        (("tls:", "version: {port: 1, path: /v, pattern: '('}\ntls:"), r"version\.pattern: no regular expression"),
        (("tls:", "version: {port: 1, path: /v, pattern: 'v'}\ntls:"), r"has no group \(\?P<version>"),
    ],
)
def test_a_wrong_file_is_told_where(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    with pytest.raises(UsageError, match=f"^--mesh .*{expected}"):
        load_mesh(own(tmp_path, GOOD.replace(*change)))


def test_an_unknown_mesh_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no such mesh or file; known: builtin, istio, linkerd, none"):
        load_mesh("consul")


@pytest.mark.parametrize(
    ("mesh", "hop", "expected"),
    [
        ("none", Hop("http1", "both"), "has no sidecars"),
        ("linkerd", Hop("http1", "both"), "--tls none is not possible between its sidecars; use mtls"),
        ("istio", Hop("http1", "both", filters=("rbac",)), "needs our own sidecars"),
    ],
)
def test_a_hop_that_the_mesh_cannot_have_is_refused(mesh: str, hop: Hop, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        load_mesh(mesh).check(hop)


def test_one_sidecar_of_linkerd_needs_no_mutual_tls() -> None:
    load_mesh("linkerd").check(Hop("http1", "server"))


def test_placeholders_are_filled_wherever_they_stand() -> None:
    assert filled({"a": ["${pod}", {"b": "${ports}"}], "n": 7}, pod="p", ports="80") == {
        "a": ["p", {"b": "80"}],
        "n": 7,
    }


def test_a_version_is_read_from_an_annotation_or_by_a_pattern() -> None:
    pod = {"metadata": {"annotations": {"linkerd.io/proxy-version": "edge-1"}}, "spec": {"containers": []}}
    linkerd, istio = load_mesh("linkerd").version, load_mesh("istio").version
    assert linkerd is not None
    assert istio is not None
    assert said_by_object(linkerd, pod, "linkerd-proxy") == "edge-1"
    assert said_by_object(istio, pod, "istio-proxy") == ""
    assert istio.by_http
    assert istio.of_interest('{"node": {"metadata": {"ISTIO_VERSION": "1.27.1"}}}') == "1.27.1"


def test_a_configuration_can_be_the_proxys_environment() -> None:
    container = {"name": "p", "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {}}]}
    pod = {"metadata": {}, "spec": {"containers": [], "initContainers": [container]}}
    assert said_by_object(Reading(environment=True), pod, "p") == "A=1\nB="
