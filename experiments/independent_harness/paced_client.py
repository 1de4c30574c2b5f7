"""Sends requests at a fixed rate over one connection: `paced_client.py HOST PORT PATH RATE SECONDS`.

Prints JSON: latencies and all the time taken, in nanoseconds, and how many requests were sent more than a quarter of
their period late.
"""

import json
import socket
import sys
import time

REQUEST_BYTES = 128
RESPONSE_BYTES = 1024


def main() -> None:
    """Send, wait for the answer, sleep until the next one is due."""
    host, port, path, rate, seconds = sys.argv[1:]
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {REQUEST_BYTES}\r\n\r\n"
    request = head.encode() + b"x" * REQUEST_BYTES
    period_ns = round(1e9 / float(rate))
    latencies_ns, late = [], 0
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        start_ns = time.perf_counter_ns()
        for due_ns in range(start_ns, start_ns + round(float(seconds) * 1e9), period_ns):
            left_ns = due_ns - time.perf_counter_ns()
            if left_ns > 0:
                time.sleep(left_ns / 1e9)
            sent_ns = time.perf_counter_ns()
            connection.sendall(request)
            receive(connection)
            latencies_ns.append(time.perf_counter_ns() - sent_ns)
            late += sent_ns - due_ns > period_ns // 4
        elapsed_ns = max(time.perf_counter_ns() - start_ns, period_ns * len(latencies_ns))
    json.dump({"latencies_ns": latencies_ns, "late": late, "elapsed_ns": elapsed_ns}, sys.stdout)


def receive(connection: socket.socket) -> None:
    """Read one whole answer."""
    answer = connection.recv(65536)
    while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + RESPONSE_BYTES:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the connection was closed in the middle of an answer")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"the answer was {answer.splitlines()[0]!r}")


if __name__ == "__main__":
    main()
