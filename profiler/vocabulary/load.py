"""What is asked of a load generator. Pure."""

from dataclasses import dataclass
from typing import Final

_HEADER_NAME: Final = "x-header-{:03}"


@dataclass(frozen=True)
class Load:
    """What is asked of a load generator.

    `rate_rps` None is a closed loop: each connection sends its next request when it has the answer to the last.
    A rate is an open loop over all connections: requests are due at fixed times whatever the answers do.
    `headers` further request headers have values of `header_bytes` each. A gRPC answer has `messages` messages of
    `response_bytes` each: one is a unary call, more are server streaming. With `new_connections` every request comes
    over a connection of its own. `extra_headers` are lines that a filter needs, with or without sidecars.
    """

    connections: int
    rate_rps: float | None
    request_bytes: int
    response_bytes: int
    headers: int = 0
    header_bytes: int = 0
    messages: int = 1
    new_connections: bool = False
    extra_headers: tuple[str, ...] = ()

    @property
    def serial(self) -> bool:
        """Whether at most one request is in flight at a time."""
        return self.connections == 1

    @property
    def answer(self) -> str:
        """The path that is asked for: the answer's size, and number of messages where there are several."""
        return f"/{self.response_bytes}" if self.messages == 1 else f"/{self.response_bytes}x{self.messages}"

    def header_lines(self) -> list[tuple[str, str]]:
        """The further request headers, names in lower case."""
        made = [(_HEADER_NAME.format(number), "v" * self.header_bytes) for number in range(self.headers)]
        lines = (line.partition(":") for line in self.extra_headers)
        return [*made, *((name.strip(), value.strip()) for name, _, value in lines)]
