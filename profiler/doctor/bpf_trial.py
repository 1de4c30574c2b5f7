"""Tries a small BPF program on this kernel: `python -m profiler.doctor.bpf_trial`.

Prints one line of JSON: `load` and each raw tracepoint, with null or the reason for its failure. A process of its own,
because bcc writes to standard error behind Python's back, and because the kernel removes everything when it ends.
"""

import json
import os
import sys
from typing import Final

from profiler.errors import MissingError
from profiler.probes.bpf import kernel_headers, require_bcc
from profiler.probes.cputime import available_tracepoints
from profiler.probes.timeline import TRACEPOINTS as TIMELINE_TRACEPOINTS

PROGRAM: Final = "int on_event(void *context) { return 0; }"


def trial() -> dict[str, str | None]:
    """The reason for which each step failed, None where it worked."""
    try:
        require_bcc()
    except MissingError as error:
        return {"load": str(error)}
    from bcc import BPF

    os.environ["BCC_KERNEL_SOURCE"] = str(kernel_headers())
    try:
        bpf = BPF(text=PROGRAM.encode())
        bpf.load_func(b"on_event", BPF.RAW_TRACEPOINT)
    except Exception as error:  # noqa: BLE001 (bcc raises bare Exception)
        return {"load": str(error)}
    steps: dict[str, str | None] = {"load": None}
    for name in dict.fromkeys((*TIMELINE_TRACEPOINTS, *available_tracepoints())):
        try:
            bpf.attach_raw_tracepoint(tp=name.encode(), fn_name=b"on_event")
            steps[name] = None
        except Exception as error:  # noqa: BLE001 (bcc raises bare Exception)
            steps[name] = str(error)
    return steps


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trial()) + "\n")
