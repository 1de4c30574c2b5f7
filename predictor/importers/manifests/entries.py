"""Where requests come in: open Services, and routes through gateways to the Services behind them. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from predictor.graph.types import Assumption
from predictor.importers.manifests.catalog import Catalog, ServiceObject, in_system_namespace
from predictor.importers.manifests.objects import Body, Key, Object, listing, mapping, mappings, selects, text_of, texts

_ROUTES: Final = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute")
_GATEWAY_NAME: Final = ("gateway.networking.k8s.io/gateway-name", "istio.io/gateway-name")
_CONTROLLERS: Final = ("ingress-nginx", "nginx-ingress", "traefik", "haproxy-ingress", "kubernetes-ingress", "contour",
                       "kong", "emissary-ingress")  # fmt: skip
_IS_HTTP: Final = ("Ingress", "HTTPRoute")


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service that a route leads to: its share of the route, and whether the route says that it is HTTP."""

    service: Key
    share: float
    is_http: bool
    port: str = ""


@dataclass(slots=True)
class Entries:
    """Services that requests enter, with their weights, and the calls of gateways. `routed` are entered by a route."""

    weights: dict[Key, float] = field(default_factory=dict)
    behind: dict[Key, list[Backend]] = field(default_factory=dict)
    routed: dict[Key, Backend] = field(default_factory=dict)
    remarks: list[Assumption] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Route:
    """A route object with what it leads to; `gateways` are the Services of the gateways that it is for."""

    item: Object
    gateways: tuple[Key, ...]
    backends: tuple[Backend, ...]


def read_entries(catalog: Catalog) -> Entries:
    """All entries. Each gateway and open Service weighs 1; routes share what their gateway gets."""
    entries = Entries()
    behind: dict[Key, dict[Key, Backend]] = {}
    direct: dict[Key, Backend] = {}
    for route in _routes(catalog, entries.remarks):
        for backend in route.backends:
            for gateway in route.gateways:
                _keep_larger(behind.setdefault(gateway, {}), backend)
            if not route.gateways:
                _keep_larger(direct, backend)
    for gateway, backends in behind.items():
        total = sum(backend.share for backend in backends.values())
        entries.weights[gateway] = 1.0
        entries.behind[gateway] = [
            Backend(item.service, item.share / total, item.is_http, item.port) for item in backends.values()
        ]
    for key, backend in direct.items():
        entries.weights[key] = backend.share
        entries.routed[key] = backend
    for service in catalog.services.values():
        if service.is_open and service.key not in entries.weights and not in_system_namespace(service.key[0]):
            if service.is_gateway or _is_controller(service):
                continue
            entries.weights[service.key] = 1.0
    entries.remarks += _within_the_mesh(catalog)
    return entries


def _within_the_mesh(catalog: Catalog) -> Iterator[Assumption]:
    """What VirtualServices do with calls between services, which the graph does not follow."""
    for item in catalog.objects.of("VirtualService"):
        gateways = listing(item.spec, "gateways")
        inner = not gateways or "mesh" in gateways
        hosts = [host for host in listing(item.spec, "hosts") if isinstance(host, str)]
        for rule in mappings(item.spec, "http"):
            targets = [text_of(mapping(route, "destination"), "host") for route in mappings(rule, "route")]
            for host in hosts:
                own = catalog.resolve(host, item.namespace)
                for target in targets if inner and own else ():
                    if catalog.resolve(target, item.namespace) != own:
                        why = f"VirtualService {item.name} leads calls of {host} to {target}, which is left out"
                        yield Assumption(f"calls.*->{host}", why)
                if attempts := text_of(mapping(rule, "retries"), "attempts"):
                    why = f"VirtualService {item.name}: attempts {attempts}, of which none is known to be used; 0"
                    yield Assumption(f"calls.*->{host}.retry_rate", why)


def _keep_larger(backends: dict[Key, Backend], backend: Backend) -> None:
    if backend.service not in backends or backends[backend.service].share < backend.share:
        backends[backend.service] = backend


def _routes(catalog: Catalog, remarks: list[Assumption]) -> Iterator[_Route]:
    gateways = [item for item in catalog.services.values() if item.is_gateway]
    named = _istio_gateways(catalog, gateways)
    controllers = [item.key for item in catalog.services.values() if item.is_open and _is_controller(item)]
    istio = [item.key for item in gateways if item.is_open]
    for item in catalog.objects.of("Ingress"):
        backends = list(_ingress_backends(item, catalog, remarks))
        doors = controllers if _class_of(item) != "istio" and controllers else istio
        yield _Route(item, tuple(doors), tuple(backends))
    for item in catalog.objects.of("VirtualService"):
        used = [name for name in listing(item.spec, "gateways") if isinstance(name, str) and name != "mesh"]
        if used:
            keys = [_gateway_key(name, item.namespace) for name in used]
            services = [service for key in keys for service in named.get(key, ())]
            yield _Route(item, tuple(dict.fromkeys(services)), tuple(_virtual_backends(item, catalog, remarks)))
    for item in catalog.objects.of(*_ROUTES):
        parents = [parent for parent in mappings(item.spec, "parentRefs") if text_of(parent, "kind") in ("", "Gateway")]
        if parents:
            keys = [(text_of(parent, "namespace") or item.namespace, text_of(parent, "name")) for parent in parents]
            services = [service.key for service in gateways for key in keys if _belongs(service, key)]
            yield _Route(item, tuple(dict.fromkeys(services)), tuple(_rule_backends(item, catalog, remarks)))


def _gateway_key(name: str, namespace: str) -> Key:
    given, slash, short = name.partition("/")
    return (namespace if given == "." else given, short) if slash else (namespace, name)


def _istio_gateways(catalog: Catalog, services: list[ServiceObject]) -> dict[Key, list[Key]]:
    """The Services of the proxies that each Gateway of Istio configures; in-mesh ones aside, those that are open."""
    found: dict[Key, list[Key]] = {}
    for item in catalog.objects.of("Gateway"):
        selector = texts(mapping(item.spec, "selector"))
        if item.group != "gateway.networking.k8s.io" and selector:
            found[item.key] = [
                service.key
                for service in services
                if any(selects(selector, owner.labels) for owner in service.owners)
                or (not service.owners and selects(selector, service.selector))
            ]
    return found


def _belongs(service: ServiceObject, gateway: Key) -> bool:
    """Whether a Service was deployed for a Gateway of the Gateway API."""
    names = {service.labels.get(label) for label in _GATEWAY_NAME} | {
        service.selector.get(label) for label in _GATEWAY_NAME
    }
    return service.key[0] == gateway[0] and gateway[1] in names


def _is_controller(service: ServiceObject) -> bool:
    names = {service.labels.get("app.kubernetes.io/name"), service.selector.get("app.kubernetes.io/name")}
    names |= {service.labels.get("app"), service.selector.get("app")}
    return bool(names & {*_CONTROLLERS})


def _class_of(item: Object) -> str:
    return text_of(item.spec, "ingressClassName") or item.annotations.get("kubernetes.io/ingress.class", "")


def _ingress_backends(item: Object, catalog: Catalog, remarks: list[Assumption]) -> Iterator[Backend]:
    found = [mapping(item.spec, "defaultBackend"), mapping(item.spec, "backend")]
    for rule in mappings(item.spec, "rules"):
        found += [mapping(path, "backend") for path in mappings(mapping(rule, "http"), "paths")]
    for backend in found:
        service = mapping(backend, "service")
        name = text_of(service, "name") or text_of(backend, "serviceName")
        port = text_of(mapping(service, "port"), "number") or text_of(backend, "servicePort")
        if name:
            yield from _backend(item, name, 1.0, port, catalog, remarks)


def _virtual_backends(item: Object, catalog: Catalog, remarks: list[Assumption]) -> Iterator[Backend]:
    for kind in ("http", "tls", "tcp"):
        for rule in mappings(item.spec, kind):
            delegate = mapping(rule, "delegate")
            target = catalog.objects.found.get(
                (
                    item.group,
                    "VirtualService",
                    text_of(delegate, "namespace") or item.namespace,
                    text_of(delegate, "name"),
                )
            )
            rules = mappings(target.spec, "http") if delegate and target else [rule]
            for each in rules:
                yield from _weighted(target or item, mappings(each, "route"), catalog, remarks, kind == "http")


def _weighted(
    item: Object, routes: list[Body], catalog: Catalog, remarks: list[Assumption], is_http: bool
) -> Iterator[Backend]:
    """The destinations of one rule: their weights add up to 1, subsets of one Service together."""
    shares: dict[tuple[str, str], float] = {}
    weights = [_weight(route, len(routes)) for route in routes]
    total = sum(weights) or 1.0
    for route, weight in zip(routes, weights, strict=True):
        destination = mapping(route, "destination")
        target = text_of(destination, "host"), text_of(mapping(destination, "port"), "number")
        shares[target] = shares.get(target, 0.0) + weight / total
    for (host, port), share in shares.items():
        if host and share > 0:
            yield from _backend(item, host, share, port, catalog, remarks, is_http)


def _rule_backends(item: Object, catalog: Catalog, remarks: list[Assumption]) -> Iterator[Backend]:
    for rule in mappings(item.spec, "rules"):
        references = [ref for ref in mappings(rule, "backendRefs") if text_of(ref, "kind") in ("", "Service")]
        weights = [_weight(reference, 1) for reference in references]
        total = sum(weights) or 1.0
        for reference, weight in zip(references, weights, strict=True):
            namespace = text_of(reference, "namespace")
            name = text_of(reference, "name") + (f".{namespace}" if namespace else "")
            if weight > 0 and name:
                yield from _backend(item, name, weight / total, text_of(reference, "port"), catalog, remarks)


def _weight(route: Body, count: int) -> float:
    """A weight that is not given is 1 for the Gateway API, and all for the only destination of Istio."""
    given = route.get("weight")
    if isinstance(given, int | float) and not isinstance(given, bool) and 0 <= given < 1e9:
        return float(given)
    return 1.0 if count <= 1 else 0.0


def _backend(
    item: Object, name: str, share: float, port: str, catalog: Catalog, remarks: list[Assumption],
    is_http: bool | None = None,
) -> Iterator[Backend]:  # fmt: skip
    service = catalog.resolve(name, item.namespace)
    if service is None:
        why = f"left out: {item.kind} {item.name} leads to {name}, which is no Service in the files"
        remarks.append(Assumption(f"ingress.{name}", why))
    else:
        yield Backend(service, share, item.kind in _IS_HTTP if is_http is None else is_http, port)


def uncalled(services: Iterable[Key], callers: set[Key], called: set[Key]) -> list[Key]:
    """Where nothing says where requests come in: the callers that nobody calls, or all where nobody calls."""
    return [key for key in services if key not in called and (key in callers or not callers)]
