"""How many graphs per second `predict-batch` predicts, how much memory it takes, and what size does to a graph's cost.

Graphs are written as Parquet, then predicted by a process of its own, reading and writing included, on one thread.

    python experiments/batch_speed/run.py PROFILE [--graphs 100000] [--directory /tmp] [--out experiments/batch_speed]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

REPEATS: Final = 4
CURVE: Final = (10, 30, 100, 300, 1_000, 3_000, 10_000)
CURVE_ROWS: Final = 300_000
MEMORY: Final = (0.25, 1.0, 2.0)
"""Parts of the number of graphs, to see whether memory grows with it."""

Figures = dict[str, Any]


def measure(profile: str, file: str) -> None:
    """Predict a file a few times in this process and print the figures of each run as JSON."""
    import pyarrow as pa

    from meshinsight.models import load_model
    from predictor.batch.predictor import BatchPredictor
    from predictor.batch.run import here, predict_batch
    from predictor.batch.sources import BatchInput
    from predictor.hop_costs.options import Options
    from predictor.importers.traces.reading import TraceOptions

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    predictor = BatchPredictor(load_model(Path(profile)), Options(samples=0))
    out = Path(f"{file}.out")
    runs = []
    for _ in range(REPEATS):
        clock, cpu = time.perf_counter(), time.process_time()
        source = BatchInput(Path(file), TraceOptions())
        done = predict_batch(source, predictor, out, here, percentiles=False, progress=lambda *_: None)
        runs.append({"clock_s": time.perf_counter() - clock, "cpu_s": time.process_time() - cpu})
    out.unlink()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_kib = int(status.split("VmHWM:")[1].split()[0])  # of this program alone, unlike getrusage
    print(json.dumps({"graphs": done.graphs, "failed": done.failed, "runs": runs, "peak_mib": peak_kib / 1024}))


def measured(profile: Path, directory: Path, graphs: int, calls: int, mixed: bool = False) -> Figures:
    """Figures of a file of so many graphs: medians and best of the repeats, in graphs per second."""
    from experiments.batch_speed.graphs import write

    with tempfile.NamedTemporaryFile(suffix=".parquet", dir=directory) as file:
        write(Path(file.name), graphs, calls, mixed)
        size = Path(file.name).stat().st_size
        command = [sys.executable, __file__, "--measure", str(profile), file.name]
        settings = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        answer = subprocess.run(command, check=True, capture_output=True, text=True, env=settings).stdout
    found = json.loads(answer)
    figures: Figures = {"graphs": graphs, "calls": calls, "mixed": mixed, "failed": found["failed"]}
    figures |= {"bytes_per_graph": size / graphs, "peak_mib": found["peak_mib"]}
    for name in ("clock", "cpu"):
        seconds = sorted(run[f"{name}_s"] for run in found["runs"])
        figures[f"best_{name}"] = graphs / seconds[0]
        figures[f"median_{name}"] = graphs / seconds[len(seconds) // 2]
    print(json.dumps(figures), file=sys.stderr)
    return figures


def table(rows: list[Figures]) -> list[str]:
    """The figures as a table of Markdown."""
    lines = ["| graphs | calls | graphs/s, best | median | by CPU time, best | µs per call | peak MiB |"]
    lines.append("|--:|--:|--:|--:|--:|--:|--:|")
    for row in rows:
        each = 1e6 / row["best_cpu"] / row["calls"]
        speeds = " | ".join(f"{row[name]:,.0f}" for name in ("best_clock", "median_clock", "best_cpu"))
        kind = " (8 kinds)" if row["mixed"] else ""
        lines.append(f"| {row['graphs']:,} | {row['calls']:,}{kind} | {speeds} | {each:.2f} | {row['peak_mib']:.0f} |")
    return lines


def draw(rows: list[Figures], file: Path) -> None:
    """Time per graph over its calls, and the line of a cost that is proportional to them."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    calls = [row["calls"] for row in rows]
    each = [1e6 / row["best_cpu"] for row in rows]
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    axes.loglog(calls, each, "o-", label="measured (CPU time, best of runs)")
    per_call = sorted(time_us / count for time_us, count in zip(each, calls, strict=True))[len(calls) // 2]
    axes.loglog(calls, [per_call * count for count in calls], "k:", label=f"{per_call:.2f} µs per call")
    axes.set_xlabel("calls of a graph")
    axes.set_ylabel("µs per graph")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    """Measure all and write result.json, the tables of result.md to standard output, and curve.png."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--graphs", type=int, default=100_000)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    place = (arguments.profile, arguments.directory)
    speed = [measured(*place, int(arguments.graphs * part), 10) for part in MEMORY]
    speed.append(measured(*place, arguments.graphs // 4, 10, mixed=True))
    curve = [measured(*place, CURVE_ROWS // (calls + 1), calls) for calls in CURVE]
    (arguments.out / "result.json").write_text(json.dumps({"speed": speed, "curve": curve}, indent=1) + "\n")
    draw(curve, arguments.out / "curve.png")
    print("\n".join([*table(speed), "", *table(curve)]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(*sys.argv[2:])
    else:
        main()
