"""The servers that filters talk to: an authorisation server that decides, and a collector that takes spans.

One HAProxy for both: it allows what does not ask for /denied, and accepts every span.
"""

from pathlib import Path
from typing import Final

from profiler.host.programs import require_program

AUTHORIZATION_PORT: Final = 9191
COLLECTOR_PORT: Final = 9411
PORTS: Final = {"authorization": AUTHORIZATION_PORT, "collector": COLLECTOR_PORT}

_CONFIGURATION: Final = f"""\
global
  nbthread 1
  log stderr format raw daemon emerg
  tune.bufsize 262144
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 5s
  timeout http-keep-alive 1h
frontend authorization
  bind 127.0.0.1:{AUTHORIZATION_PORT}
  http-request return status 403 if {{ path_beg /denied }}
  http-request return status 200
frontend collector
  bind 127.0.0.1:{COLLECTOR_PORT}
  http-request wait-for-body time 30s
  http-request return status 202
"""


def filter_services_argv(directory: Path) -> list[str]:
    """Write the configuration into `directory` and return the command that runs the services."""
    configuration = directory / "haproxy.cfg"
    configuration.write_text(_CONFIGURATION)
    return [require_program("haproxy", "haproxy"), "-db", "-f", str(configuration)]
