"""Several profiles of one machine as one, for a model of all their cells. Pure.

Cells are brought to one speed of the machine by the anchor cells, as blocks of a run are: factors go to the median of
all runs, and the drift is that over the rounds of all. A cell that several profiles have stays in it several times, so
that all of them count.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from profiler.errors import UsageError
from profiler.evaluation.merge import at_speed_of, joined_anchor
from profiler.profile.machine import machine_differences
from profiler.profile.types import Profile


def joined_profiles(profiles: Mapping[str, Profile]) -> Profile:
    """The profiles, by the names that messages give them, as one; what concerns a run as a whole is the first's.

    Raises `UsageError`: they are not of one machine, or one of them is there twice.
    """
    (name, first), *others = profiles.items()
    for other_name, other in others:
        if difference := _difference(first, other):
            raise UsageError(
                f"{name} and {other_name} differ in {difference}; give profiles of one machine and one proxy"
            )
    runs: dict[str, str] = {}
    for other_name, other in profiles.items():
        if other.run_id in runs:
            raise UsageError(f"{runs[other.run_id]} and {other_name} are the same run {other.run_id}; give it once")
        runs[other.run_id] = other_name
    if not others:
        return first
    anchor = joined_anchor([(0.0, other.anchor) for other in profiles.values() if other.anchor])
    return replace(
        first,
        run_id="+".join(runs),
        status="complete" if all(other.status == "complete" for other in profiles.values()) else "partial",
        anchor=anchor,
        cells=[at_speed_of(anchor, cell, other.anchor) for other in profiles.values() for cell in other.cells],
        warnings=list(dict.fromkeys(text for other in profiles.values() for text in other.warnings)),
    )


def _difference(one: Profile, other: Profile) -> str:
    """How the machines or the proxies of two profiles differ, in words; empty where they do not."""
    machine = [
        (found.subject, found.old, found.new) for found in machine_differences(one.environment, other.environment)
    ]
    versions = [
        (f"version of {name}", proxy.version, other.proxies[name].version)
        for name, proxy in one.proxies.items()
        if name in other.proxies and proxy.version != other.proxies[name].version
    ]
    return " and ".join(f"{what} ({first} and {second})" for what, first, second in (*machine, *versions))
