"""The call graph of a catalog: names, sidecars, calls from addresses, entries. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from predictor.graph.types import (
    Assumption,
    Call,
    CallGraph,
    Ingress,
    Protocol,
    Service,
    Side,
    Sidecar,
    SidecarMode,
    Tls,
    edge_id,
)
from predictor.importers.manifests.addresses import Address, addresses
from predictor.importers.manifests.catalog import Catalog, ServiceObject, in_system_namespace
from predictor.importers.manifests.entries import Backend, Entries, read_entries, uncalled
from predictor.importers.manifests.injection import (
    Injection,
    captures_inbound,
    captures_outbound,
    container_port,
    limits_addresses,
)
from predictor.importers.manifests.mutual_tls import MutualTls, read_mutual_tls
from predictor.importers.manifests.objects import Key
from predictor.importers.manifests.ports import Port, find_port, main_port, scheme_protocol
from predictor.importers.manifests.settings import SettingsReader
from predictor.importers.manifests.workloads import Workload

_SOURCES: Final = "addresses in environments, ConfigMaps, Secrets, arguments, commands and mounted files of containers"
_CALL_DEFAULTS: Final = (
    ("calls_per_request", "manifests do not say; 1, unless a route's weight"),
    ("request_bytes", "manifests do not say; 1024"),
    ("response_bytes", "manifests do not say; 1024"),
    ("stage", "manifests do not say; one after another"),
)


@dataclass(frozen=True, slots=True)
class _Caller:
    """A service of the graph: a Service, or a workload that none selects (`service` is None)."""

    key: Key
    owners: tuple[Workload, ...]
    service: ServiceObject | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a call goes: the Service, its port where one is known, and what the address says of it."""

    service: ServiceObject
    port: Port | None
    address: Address
    http_by: str = ""
    """What says that HTTP comes in, where no URL does."""


@dataclass(slots=True)
class _Maker:
    """What graph making looks up, and the remarks that it leaves."""

    catalog: Catalog
    entries: Entries
    injection: Injection
    tls: MutualTls
    names: dict[Key, str]
    remarks: list[Assumption] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)


def manifest_graph(catalog: Catalog, rate_rps: float | None) -> CallGraph:
    """The graph, with cycles and with services that nothing reaches; all that was assumed is listed."""
    workers = _workers(catalog)
    callers = [_Caller(key, service.owners, service) for key, service in catalog.services.items()] + workers
    maker = _Maker(
        catalog, read_entries(catalog), Injection(catalog.namespaces), read_mutual_tls(catalog), _names(callers)
    )
    _note_calls(maker, callers)
    entries = _ingress(maker, workers, rate_rps)
    services = tuple(_service(maker, caller) for caller in callers if caller.service or maker.names[caller.key])
    shared = _shared_workloads(maker)
    modes = _shared_modes(services, shared)
    return CallGraph(
        services=tuple(_with_workload(service, shared, modes) for service in services),
        calls=tuple(maker.calls.values()),
        ingress=entries,
        assumed=tuple(dict.fromkeys((*_general(maker), *catalog.remarks, *maker.injection.remarks.values(),
                                     *maker.entries.remarks, *maker.remarks))),
    )  # fmt: skip


def _general(maker: _Maker) -> Iterator[Assumption]:
    yield Assumption("calls", f"taken from {_SOURCES}")
    for name, why in _CALL_DEFAULTS:
        yield Assumption(f"calls.*.{name}", why)
    if not maker.tls.given:
        yield Assumption("calls.*.tls", "no PeerAuthentication in the files; none, though Istio encrypts by default")
    yield Assumption("services.*.service_time", "manifests do not say; 1 ms")


def _workers(catalog: Catalog) -> list[_Caller]:
    """Workloads that no Service selects and that are neither gateways nor the mesh's or cluster's own."""
    served = {(owner.kind, *owner.key) for service in catalog.services.values() for owner in service.owners}
    found: dict[Key, _Caller] = {}
    system = 0
    for item in catalog.workloads:
        if (item.kind, *item.key) in served or item.is_gateway:
            continue
        if in_system_namespace(item.namespace) or item.is_control_plane:
            system += 1
            continue
        key = (item.namespace, item.name)
        while key in catalog.services or key in found:
            key = (item.namespace, f"{key[1]}-{item.kind.lower()}")
        found[key] = _Caller(key, (item,))
    if system:
        why = f"{system} workloads without a Service that serve the mesh or the cluster left out"
        catalog.remarks.append(Assumption("services.*", why))
    return list(found.values())


def _names(callers: list[_Caller]) -> dict[Key, str]:
    """The bare name, or `name.namespace` where several namespaces have the same. Services come before workers."""
    services = Counter(caller.key[1] for caller in callers if caller.service is not None)
    everyone = Counter(caller.key[1] for caller in callers)
    taken: set[str] = set()
    names: dict[Key, str] = {}
    for caller in callers:
        namespace, name = caller.key
        is_ambiguous = (everyone if caller.service is None else services)[name] > 1
        full = f"{name}.{namespace}" if is_ambiguous and namespace else name
        while full in taken:
            full += "-2"
        taken.add(full)
        names[caller.key] = full
    return names


def _note_calls(maker: _Maker, callers: list[_Caller]) -> None:
    reader = SettingsReader(maker.catalog.objects, {})
    words: dict[str, Assumption] = {}
    for caller in callers:
        if caller.key in maker.entries.behind:
            for backend in maker.entries.behind[caller.key]:
                _add_route_call(maker, caller, backend)
        for owner in caller.owners:
            if not owner.is_gateway:
                _note_settings(maker, caller, owner, reader, words)
    pairs = {(call.caller, call.callee) for call in maker.calls.values()}
    maker.remarks += [
        word for word in words.values() if tuple(word.path.removeprefix("calls.").split("->")) not in pairs
    ]
    for (kind, namespace, name), user in reader.missing.items():
        why = f"{kind} {name} of namespace {namespace}, used by {user}, is not in the files; its addresses are unknown"
        maker.remarks.append(Assumption("calls", why))


def _note_settings(
    maker: _Maker, caller: _Caller, owner: Workload, reader: SettingsReader, words: dict[str, Assumption]
) -> None:
    name = maker.names[caller.key]
    if limits_addresses(owner):
        why = "some ranges of addresses pass no sidecar; which Services are in them is not known, none taken out"
        maker.remarks.append(Assumption(f"services.{name}.sidecar", why))
    for settings, environment in reader.of(owner, maker.catalog.variables(owner.namespace)):
        for setting in settings:
            for address in addresses(setting, environment):
                key = maker.catalog.resolve(address.host, owner.namespace, loose=not address.is_dotted)
                if key is None:
                    if address.scheme and not (setting.is_file or setting.is_secret or address.is_local):
                        why = "left out: no Service or ServiceEntry in the files"
                        maker.remarks.append(Assumption(f"calls.{name}->{address.host}", why))
                elif key == caller.key:
                    continue
                elif address.is_word:
                    path = f"calls.{name}->{maker.names[key]}"
                    words[path] = Assumption(path, f"left out: {setting.key or 'an argument'} is a word, no address")
                else:
                    _add_call(maker, caller, owner, key, address)


def _add_call(maker: _Maker, caller: _Caller, owner: Workload, key: Key, address: Address) -> None:
    service = maker.catalog.services[key]
    port = find_port(service.ports, address.port) or (None if address.port else _default_port(service, address))
    target = _Target(service, port, address)
    names = maker.names[caller.key], maker.names[key]
    if port is not None and port.udp:
        maker.remarks.append(Assumption(f"calls.{edge_id(*names)}", f"left out: port {port.number} is UDP"))
        return
    identifier = _identifier(maker, names, port, address)
    if identifier in maker.calls:
        return
    path = f"calls.{identifier}"
    if port is None and address.port and service.ports:
        maker.remarks.append(Assumption(path, f"the Service has no port {address.port}, which the address names"))
    bypass = _bypass(maker, owner, target)
    maker.calls[identifier] = Call(
        id=identifier,
        caller=names[0],
        callee=names[1],
        protocol=_protocol(maker, path, target),
        tls=_tls(maker, path, _has_client(maker, owner, bypass), target, bypass),
        bypass=bypass,
    )


def _identifier(maker: _Maker, names: tuple[str, str], port: Port | None, address: Address) -> str:
    """One call for each pair and port; the first has no name. An address without a port is any call that is there."""
    first = edge_id(*names)
    if port is None or not address.port:
        return first
    label = f"port {port.number}"
    known = maker.ports.setdefault(first, label)
    return first if known == label else edge_id(*names, label)


def _default_port(service: ServiceObject, address: Address) -> Port | None:
    """The port of a URL without one: that of its scheme, else the Service's main port."""
    usual = {"http": "80", "ws": "80", "https": "443"}.get(address.scheme, "")
    return find_port(service.ports, usual) or main_port(service.ports)


def _add_route_call(maker: _Maker, caller: _Caller, backend: Backend) -> None:
    service = maker.catalog.services[backend.service]
    names = maker.names[caller.key], maker.names[backend.service]
    port = find_port(service.ports, backend.port) or main_port(service.ports)
    target = _Target(service, port, Address(names[1]), "a route" if backend.is_http else "")
    path = f"calls.{edge_id(*names)}"
    is_proxy = any(owner.is_gateway or maker.injection.has_sidecar(owner) for owner in caller.owners)
    is_proxy |= caller.service is not None and caller.service.is_gateway
    bypass = _bypass(maker, None, target)
    maker.calls[edge_id(*names)] = Call(
        id=edge_id(*names),
        caller=names[0],
        callee=names[1],
        protocol=_protocol(maker, path, target),
        calls_per_request=float(f"{backend.share:.6g}"),
        tls=_tls(maker, path, is_proxy, target, bypass),
        bypass=bypass,
    )
    if backend.share < 1.0:
        why = f"routes of {names[0]}: {backend.share:.3g}, by their weights, else evenly"
        maker.remarks.append(Assumption(f"{path}.calls_per_request", why))


def _protocol(maker: _Maker, path: str, target: _Target) -> Protocol:
    if target.port is not None and target.port.protocol is not None:
        return target.port.protocol
    detected = "http1" if target.http_by else scheme_protocol(target.address.scheme)
    number = target.port.number if target.port else target.address.port or "?"
    if detected is not None:
        says = target.http_by or f"{target.address.scheme}://"
        why = f"port {number} declares none, so Istio detects it; {detected}, as {says} says"
    else:
        why = f"port {number} declares none, so Istio detects it; tcp, since no URL says what is sent"
    maker.remarks.append(Assumption(f"{path}.protocol", why))
    return detected or "tcp"


def _bypass(maker: _Maker, owner: Workload | None, target: _Target) -> tuple[Side, ...]:
    """The sides whose sidecar does not see a call, where there is one."""
    port = target.port.number if target.port else target.address.port
    container_port = target.port.target if target.port else target.address.port
    sides: tuple[Side, ...] = ()
    if owner is not None and not captures_outbound(owner, port) and maker.injection.has_sidecar(owner):
        sides = ("client",)
    owners = [item for item in target.service.owners if maker.injection.has_sidecar(item)]
    if owners and not any(captures_inbound(item, container_port) for item in owners):
        sides += ("server",)
    return sides


def _has_client(maker: _Maker, owner: Workload, bypass: tuple[Side, ...]) -> bool:
    return "client" not in bypass and maker.injection.has_sidecar(owner)


def _tls(maker: _Maker, path: str, client: bool, target: _Target, bypass: tuple[Side, ...]) -> Tls:
    """MTLS where both ends have a proxy on the way and no policy says otherwise."""
    if not maker.tls.given:
        return "none"
    service = target.service
    owner = next((item for item in service.owners if maker.injection.has_sidecar(item)), None)
    server = "server" not in bypass and (owner is not None or not (service.owners or service.external))
    asked = maker.tls.client_mode(service.key, target.port.number if target.port else "")
    if asked in ("SIMPLE", "MUTUAL"):
        why = f"a DestinationRule says {asked}, which a graph does not have; none"
        maker.remarks.append(Assumption(f"{path}.tls", why))
        return "none"
    if not server:
        return "none"
    labels = owner.labels if owner is not None else service.selector
    container = target.port.target if target.port else target.address.port
    port = container_port(owner, container) if owner is not None else container
    mode, scope = maker.tls.server_mode(service.key[0], labels, port)
    if not client or asked == "DISABLE":
        if mode == "STRICT":
            why = "whose DestinationRule says DISABLE" if client else "without a sidecar"
            maker.remarks.append(Assumption(f"{path}.tls", f"STRICT ({scope}) refuses a caller {why}; none"))
        return "none"
    if mode == "PERMISSIVE":
        maker.remarks.append(Assumption(f"{path}.tls", f"PERMISSIVE ({scope}): sidecars encrypt to each other; mtls"))
    return "none" if mode == "DISABLE" else "mtls"


def _service(maker: _Maker, caller: _Caller) -> Service:
    name, service, place = maker.names[caller.key], caller.service, f"services.{maker.names[caller.key]}"
    replicas = sum(owner.replicas for owner in caller.owners) or 1
    if service is not None and (service.external or service.is_gateway):
        what = "a gateway, which is a proxy itself; none" if service.is_gateway else "outside of the cluster; none"
        maker.remarks.append(Assumption(f"{place}.sidecar", what))
        return Service(name, replicas, Sidecar("none", "none"))
    if service is not None and not service.owners:
        maker.remarks.append(Assumption(f"{place}.replicas", "no workload in the files; 1"))
        if not service.selector:
            maker.remarks.append(Assumption(f"{place}.sidecar", "no selector, so no pods of the mesh; none"))
            return Service(name, replicas, Sidecar("none", "none"))
    with_sidecar = [owner for owner in caller.owners if maker.injection.has_sidecar(owner)]
    if caller.owners and not with_sidecar:
        behind = service is not None and any(
            maker.injection.has_waypoint(service.labels, owner) for owner in caller.owners
        )
        return Service(name, replicas, Sidecar("none", "waypoint" if behind else "none"))
    if len(with_sidecar) < len(caller.owners):
        maker.remarks.append(
            Assumption(f"{place}.sidecar", "some of its workloads have none; all counted as if they had")
        )
    return Service(name, replicas, Sidecar("http", _server_mode(service, with_sidecar)))


def _server_mode(service: ServiceObject | None, owners: list[Workload]) -> SidecarMode:
    if service is None:
        return "none"  # a worker: nothing comes in
    seen = [port for port in service.ports if not owners or any(captures_inbound(item, port.target) for item in owners)]
    if service.ports and not seen:
        return "none"
    return "http" if any(port.is_http for port in seen) else "tcp"


def _shared_workloads(maker: _Maker) -> dict[str, str]:
    """The workload's name for each service that has its pods together with another service."""
    users: dict[tuple[tuple[str, str, str], ...], list[str]] = {}
    owners_of: dict[tuple[str, str, str], set[str]] = {}
    for key, service in maker.catalog.services.items():
        identities = tuple((owner.kind, *owner.key) for owner in service.owners)
        if identities:
            users.setdefault(tuple(sorted(identities)), []).append(maker.names[key])
        for identity in identities:
            owners_of.setdefault(identity, set()).add(maker.names[key])
    taken = set(maker.names.values())
    shared: dict[str, str] = {}
    for pods, names in users.items():
        if len(names) > 1:
            workload = pods[0][-1]
            while workload in taken - set(names):
                workload += "-pods"
            shared |= dict.fromkeys(names, workload)
    for found in owners_of.values():
        if len({shared.get(name, name) for name in found}) > 1:
            for name in sorted(found):
                why = "has some pods together with another Service; they are counted for both"
                maker.remarks.append(Assumption(f"services.{name}.replicas", why))
    return shared


def _shared_modes(services: Iterable[Service], shared: dict[str, str]) -> dict[str, SidecarMode]:
    """The server's side of each shared workload's sidecar: what the Service that needs most of it needs."""
    order: tuple[SidecarMode, ...] = ("none", "tcp", "http")
    found: dict[str, SidecarMode] = {}
    for service in services:
        if workload := shared.get(service.name):
            found[workload] = max(found.get(workload, "none"), service.sidecar.server, key=order.index)
    return found


def _with_workload(service: Service, shared: dict[str, str], modes: dict[str, SidecarMode]) -> Service:
    if service.name not in shared:
        return service
    workload = shared[service.name]
    return replace(service, sidecar=Sidecar(service.sidecar.client, modes[workload]), workload=workload)


def _ingress(maker: _Maker, workers: list[_Caller], rate_rps: float | None) -> tuple[Ingress, ...]:
    """Entries with their share of the rate; workers, whose rate nothing says, have none."""
    weights = dict(maker.entries.weights)
    called = {call.callee for call in maker.calls.values()}
    callers = {call.caller for call in maker.calls.values()}
    idle = [worker.key for worker in workers if maker.names[worker.key] not in callers]
    for key in idle:
        why = "left out: a workload that no Service selects and whose calls are not known"
        maker.remarks.append(Assumption(f"services.{maker.names[key]}", why))
        maker.names[key] = ""
    busy = [worker.key for worker in workers if worker.key not in idle]
    if not weights:
        services = [key for key in maker.catalog.services if not in_system_namespace(key[0])]
        services = services or list(maker.catalog.services)
        found = uncalled(
            services,
            {key for key in services if maker.names[key] in callers},
            {key for key in services if maker.names[key] in called},
        )
        weights = dict.fromkeys(found or ([] if busy else services[:1]), 1.0)
        maker.remarks.append(Assumption("ingress", "no Ingress or route; services that are not called"))
    if not weights:
        weights, busy = dict.fromkeys(busy, 1.0), []
    if rate_rps is None:
        maker.remarks.append(Assumption("ingress.*.rate_rps", "manifests do not say; 1 in all (see --rate)"))
    if len(weights) > 1:
        why = f"shared by {len(weights)} entries, evenly or as a route's weights say"
        maker.remarks.append(Assumption("ingress.*.rate_rps", why))
    rate = (1.0 if rate_rps is None else rate_rps) / sum(weights.values())
    found_entries = [_entry(maker, key, rate * weight) for key, weight in weights.items()]
    for key in busy:
        why = "a workload that no Service selects and nobody calls: how often it works is not known; 0"
        maker.remarks.append(Assumption(f"ingress.{maker.names[key]}.rate_rps", why))
        found_entries.append(Ingress(maker.names[key], 0.0))
    return tuple(found_entries)


def _entry(maker: _Maker, key: Key, rate_rps: float) -> Ingress:
    name = maker.names[key]
    service = maker.catalog.services.get(key)
    if service is None:
        return Ingress(name, rate_rps)
    backend = maker.entries.routed.get(key)
    port = (find_port(service.ports, backend.port) if backend else None) or main_port(service.ports)
    by_number = "the number" if port is not None and port.number == "80" else ""
    by_route = "a route" if service.is_gateway or (backend is not None and backend.is_http) else ""
    target = _Target(service, port, Address(name), by_route or by_number)
    bypass: tuple[Side, ...] = () if service.is_gateway else _bypass(maker, None, target)
    return Ingress(
        service=name,
        rate_rps=rate_rps,
        protocol=_protocol(maker, f"ingress.{name}", target),
        tls=_tls(maker, f"ingress.{name}", True, target, bypass) if backend is not None else "none",
        bypass=bypass,
    )
