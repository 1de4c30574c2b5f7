"""Istio on the test cluster, from its Go module: istiod, its webhook and its templates, with upstream Envoy as proxy.

Istio's own build of Envoy is in no package: the proxy image has pilot-agent and the Envoy that MeshInsight installs.
Filters of Istio's build only (peer metadata, ALPN, statistics) are left out of the configuration.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from profiler.errors import MissingError, ProcessError
from profiler.host.programs import find_program, run_tool
from profiler.host.waiting import wait_until
from profiler.proxies.envoy import find_binary
from tests.cluster.binaries import Binaries, cached, go_module, run_go
from tests.cluster.images import Image, write_archive
from tests.cluster.network import ISTIOD

if TYPE_CHECKING:
    from tests.cluster.local_cluster import LocalCluster

VERSION: Final = "v0.0.0-20260827124520-eed52ebb66ad"
NAMESPACE: Final = "istio-system"

_MODULE: Final = "istio.io/istio"
_COMMANDS: Final = ("pilot/cmd/pilot-agent", "pilot/cmd/pilot-discovery", "istioctl/cmd/istioctl")
_LINKING: Final = f"-s -w -X {_MODULE}/pkg/version.buildVersion={VERSION}"
_BOOTSTRAP: Final = "envoy_bootstrap.json"
_HUB: Final = "localhost/meshinsight-test"
_TAG: Final = "1"
_OPERATOR: Final = Path(__file__).parent / "istio_operator.yaml"
_WITHOUT_ALPN: Final = Path(__file__).parent / "istio_filter.yaml"
_DEFINITION: Final = re.compile(r"^kind: CustomResourceDefinition$", re.MULTILINE)
_IPTABLES: Final = "xtables-nft-multi"
_ACTIONS: Final = ("", "-save", "-restore")
_POD: Final = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "tried", "namespace": "default", "labels": {"sidecar.istio.io/inject": "true"}},
    "spec": {"containers": [{"name": "app", "image": "none"}]},
}
"""It is only tried, and never made."""

_WITHIN: Final = "--timeout=120s"
_LIMIT_S: Final = 130.0


def install(cluster: "LocalCluster") -> None:
    """Put Istio on the cluster and wait until it injects. Raises MissingError and ProcessError."""
    programs = built_programs()
    with TemporaryDirectory(prefix="meshinsight-") as scratch:
        archive = Path(scratch) / "image.tar"
        for image in (_istiod_image(programs), _proxy_image(programs)):
            write_archive(image, archive)
            cluster.import_image(archive)
    documents = _rendered(programs).split("\n---\n")
    definitions = [text for text in documents if _DEFINITION.search(text)]
    _apply(cluster, *definitions)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", _WITHIN, timeout_s=_LIMIT_S)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    _apply(cluster, json.dumps(namespace), *(text for text in documents if text not in definitions))
    rollout = ["--namespace", NAMESPACE, "rollout", "status", "deployment/istiod", _WITHIN]
    cluster.kubectl(*rollout, timeout_s=_LIMIT_S)
    _apply(cluster, _WITHOUT_ALPN.read_text())
    wait_until_injecting(cluster)


def wait_until_injecting(cluster: "LocalCluster") -> None:
    """Wait until the API server reaches istiod's webhook: nodes learn of a ready istiod a moment later.

    Raises ProcessError, with the API server's words.
    """
    said = ""

    def injects() -> bool:
        nonlocal said
        try:
            cluster.kubectl("create", "--dry-run=server", "-f", "-", input_text=json.dumps(_POD))
        except ProcessError as error:
            said = str(error)
            return False
        return True

    if not wait_until(injects, _LIMIT_S, every_s=0.5):
        raise ProcessError(f"istiod's webhook was not reached within {_LIMIT_S:g} s: {said}")


def is_installed(cluster: "LocalCluster") -> bool:
    """Whether the cluster has an istiod."""
    return bool(cluster.kubectl("--namespace", NAMESPACE, "get", "deployment/istiod", "--ignore-not-found"))


def uninstall(cluster: "LocalCluster") -> None:
    """Take it off the cluster again; images stay on the nodes. Raises ProcessError."""
    leaving = ["delete", "--ignore-not-found", _WITHIN]
    cluster.kubectl(*leaving, "-f", "-", input_text=_rendered(built_programs()), timeout_s=_LIMIT_S)
    cluster.kubectl(*leaving, "namespace", NAMESPACE, timeout_s=_LIMIT_S)


def built_programs() -> Binaries:
    """pilot-agent, pilot-discovery, istioctl and the template of Envoy's bootstrap, built unless they are cached.

    Raises:
        MissingError: there is no Go.
        ProcessError: the build failed.
    """
    return Binaries(cached("Istio", (_LINKING, *_COMMANDS), _build))


def _build(scratch: Path) -> None:
    wrapper = scratch / "wrapper"
    wrapper.mkdir()
    sources, upstream = go_module(scratch, f"{_MODULE}@{VERSION}")
    (wrapper / "go.mod").write_text(f"module wrapper\ngo {upstream['Go']}\nrequire {_MODULE} {VERSION}\n")
    packages = [f"{_MODULE}/{command}" for command in _COMMANDS]
    bin_folder = scratch / "bin"
    run_go(wrapper, "build", "-mod=mod", "-trimpath", "-ldflags", _LINKING, "-o", str(bin_folder), *packages)
    shutil.copyfile(sources / "tools" / "packaging" / "common" / _BOOTSTRAP, bin_folder / _BOOTSTRAP)


def _rendered(programs: Binaries) -> str:
    """Istio's charts with the values of the test cluster."""
    values = Template(_OPERATOR.read_text()).substitute(istiod=ISTIOD, hub=_HUB, tag=_TAG)
    return run_tool([programs["istioctl"], "manifest", "generate", "-f", "-"], input_text=values, timeout_s=60.0)


def _apply(cluster: "LocalCluster", *documents: str) -> None:
    # On the server's side: the annotation that kubectl keeps otherwise is too long for some definitions. With force:
    # istiod itself changes its webhooks, and does so again.
    stream = "\n---\n".join(documents)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input_text=stream, timeout_s=_LIMIT_S)


def _istiod_image(programs: Binaries) -> Image:
    program = "usr/local/bin/pilot-discovery"
    files = {program: Path(programs["pilot-discovery"])}
    return Image(f"{_HUB}/pilot:{_TAG}", [f"/{program}"], files, folders=("tmp",), user="1337:1337")


def _proxy_image(programs: Binaries) -> Image:
    """pilot-agent, the template that it fills in, Envoy, and iptables for the init container."""
    tables, envoy = Path(find_program(_IPTABLES)), find_binary()
    files = {
        "bin/pilot-agent": Path(programs["pilot-agent"]),
        "usr/local/bin/envoy": envoy,
        "var/lib/istio/envoy/envoy_bootstrap_tmpl.json": Path(programs[_BOOTSTRAP]),
        f"bin/{_IPTABLES}": tables,
        **_libraries(envoy),
        **_libraries(tables),
        **_table_extensions(),
    }
    names = [
        f"{family}tables{kind}{action}" for family in ("ip", "ip6") for kind in ("", "-nft") for action in _ACTIONS
    ]
    links = {f"bin/{name}": f"/bin/{_IPTABLES}" for name in names}
    return Image(f"{_HUB}/proxyv2:{_TAG}", ["/bin/pilot-agent"], files, links, folders=("tmp", "run", "etc"))


def _libraries(program: Path) -> Mapping[str, Path]:
    """The shared libraries of a program, and its loader, where it looks for them."""
    found = re.findall(r"(/\S+) \(0x", run_tool(["ldd", str(program)]))
    return {path.lstrip("/"): Path(os.path.realpath(path)) for path in found}


def _table_extensions() -> Mapping[str, Path]:
    """The matches and targets of iptables: shared objects in a separate folder."""
    folders = [path for path in Path("/usr/lib").glob("*/xtables") if path.is_dir()]
    if not folders:
        raise MissingError("the matches and targets of iptables are not in /usr/lib/*/xtables; install iptables")
    return {str(file).lstrip("/"): file for folder in folders for file in folder.glob("*.so")}
