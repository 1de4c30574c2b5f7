"""Lines of a mesh's metrics."""


def line(metric: str, source: str, destination: str, value: float, reporter: str = "destination", **more: str) -> str:
    labels = {"reporter": reporter, "source_workload": source, "destination_workload": destination, **more}
    inner = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{metric}{{{inner}}} {value}\n"
