"""Which calls are encrypted between sidecars: PeerAuthentication on the server's side, DestinationRule on the client's.

Port before workload before namespace before mesh; `UNSET` takes what the wider policy says. Without STRICT or DISABLE
sidecars agree on mTLS with each other (Istio's auto mTLS). Pure.
"""

from dataclasses import dataclass, field
from typing import Final

from predictor.importers.manifests.catalog import Catalog
from predictor.importers.manifests.objects import Body, Key, Object, mapping, mappings, selects, text_of, texts
from predictor.importers.manifests.workloads import ROOT_NAMESPACE

_MODES: Final = ("STRICT", "PERMISSIVE", "DISABLE")


@dataclass(slots=True)
class MutualTls:
    """The policies of one set of manifests, the oldest first where several have one scope."""

    by_namespace: dict[str, list[Object]] = field(default_factory=dict)
    rules: dict[Key, Object] = field(default_factory=dict)
    given: bool = False

    def server_mode(self, namespace: str, labels: dict[str, str], port: str) -> tuple[str, str]:
        """STRICT, PERMISSIVE or DISABLE for the port of a container in pods with such labels, and where that is said.

        Istio ignores a selector in its root namespace.
        """
        policies = self.by_namespace.get(namespace, []) if namespace != ROOT_NAMESPACE else []
        own = [item for item in policies if selects(_selector(item), labels)]
        found = [(_mode(mapping(mapping(item.spec, "portLevelMtls"), port)), f"port {port}") for item in own[:1]]
        found += [(_mode(mapping(item.spec, "mtls")), "workload") for item in own[:1]]
        for place, scope in ((namespace, "namespace"), (ROOT_NAMESPACE, "mesh")):
            wide = [item for item in self.by_namespace.get(place, []) if not _selector(item)]
            found += [(_mode(mapping(item.spec, "mtls")), scope) for item in wide[:1]]
        return next(((mode, scope) for mode, scope in found if mode), ("PERMISSIVE", "by default"))

    def client_mode(self, service: Key, port: str) -> str:
        """A DestinationRule's word for the client: DISABLE, SIMPLE, MUTUAL, ISTIO_MUTUAL; empty for none."""
        rule = self.rules.get(service)
        if rule is None:
            return ""
        policy = mapping(rule.spec, "trafficPolicy")
        for setting in mappings(policy, "portLevelSettings"):
            if text_of(mapping(setting, "port"), "number") == port and mapping(setting, "tls"):
                return text_of(mapping(setting, "tls"), "mode")
        return text_of(mapping(policy, "tls"), "mode")


def read_mutual_tls(catalog: Catalog) -> MutualTls:
    """The policies in the manifests."""
    found = MutualTls()
    policies = sorted(
        catalog.objects.of("PeerAuthentication"),
        key=lambda item: text_of(mapping(item.body, "metadata"), "creationTimestamp") or "~",
    )
    for item in policies:
        found.given = True
        found.by_namespace.setdefault(item.namespace, []).append(item)
    for item in catalog.objects.of("DestinationRule"):
        service = catalog.resolve(text_of(item.spec, "host"), item.namespace)
        if service is not None:
            found.rules[service] = item
    return found


def _selector(item: Object) -> dict[str, str]:
    return texts(mapping(mapping(item.spec, "selector"), "matchLabels"))


def _mode(settings: Body) -> str:
    mode = text_of(settings, "mode").upper()
    return mode if mode in _MODES else ""
