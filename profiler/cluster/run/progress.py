"""Follows what a pod prints, through broken connections and restarts of the API server."""

import time
from collections.abc import Iterator
from typing import Annotated, Any, Final

import msgspec

from profiler.cluster.api.errors import ClusterError, TransientError
from profiler.cluster.api.pod_state import container_statuses
from profiler.cluster.api.session import Session
from profiler.cluster.run.lifecycle import explain
from profiler.files.json_text import check_values
from profiler.text import one_line

_GIVE_UP_S: Final = 300.0
"""How long the API server may be away while the pod goes on by itself."""
_PAUSE_S: Final = 1.0
_LONGEST_S: Final = 86_400.0
_LONGEST_TEXT: Final = 400
_LONGEST_PATH: Final = 255


def follow(
    session: Session,
    namespace: str,
    pod: str,
    container: str,
    *,
    give_up_s: float = _GIVE_UP_S,
    pause_s: float = _PAUSE_S,
) -> Iterator[str]:
    """Lines of a container's log, each once, until the container ends well.

    Raises:
        ClusterError: the pod fails or disappears; the message holds its own reason. Or the API server stays away.
    """
    seen = 0
    heard_s = time.monotonic()
    while True:
        try:
            # From the beginning each time: lines are counted, so none is lost and none comes twice.
            for number, line in enumerate(session.follow_log(namespace, pod, container)):
                heard_s = time.monotonic()
                if number >= seen:
                    seen += 1
                    yield line
            if _has_ended(session, namespace, pod, container):
                return
            heard_s = time.monotonic()
        except TransientError:
            if time.monotonic() - heard_s > give_up_s:
                raise
        except ClusterError:  # no log: the pod's own reason, if it has one, says more
            _has_ended(session, namespace, pod, container)
            raise
        time.sleep(pause_s)


class Said(msgspec.Struct, frozen=True):
    """What a line of `measure` or `look` says; a field that it does not have is None.

    `measure` prints `label` and `left_s` before each step, and `result` (a folder of the pod) and `error` at its end;
    `look` prints `say`, and `attached` with `stacks`, a file's content in base64.
    """

    label: str | None = None
    left_s: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_S)] = 0.0
    result: Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_PATH)] | None = None
    error: str | None = None
    say: str | None = None
    attached: dict[str, Any] | None = None
    stacks: bytes = b""


def spoken(line: str) -> Said:
    """What a line says; nothing, if something else printed it.

    The pod is not trusted: values of another type count for nothing, and texts are fit for a terminal.
    """
    try:
        said = msgspec.json.decode(line, type=Said)
        if said.attached is not None:
            check_values(said.attached)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Said()
    texts = {name: getattr(said, name) for name in ("label", "result", "error", "say")}
    shown = {name: one_line(text, _LONGEST_TEXT) for name, text in texts.items() if text is not None}
    return msgspec.structs.replace(said, **shown)


def _has_ended(session: Session, namespace: str, pod: str, container: str) -> bool:
    """Whether the container has ended well. Raises ClusterError when it has failed or is gone."""
    found = session.get("Pod", pod, namespace)
    if found is None:
        raise ClusterError(f"pod {pod}: is gone; somebody deleted it, or its node was drained")
    # The pod itself says so a little later.
    ended = container_statuses(found).get(container, {}).get("state", {}).get("terminated")
    if ended and ended.get("exitCode") == 0:
        return True
    if reason := explain(session, found):
        raise ClusterError(f"pod {pod}: {reason}")
    return False
