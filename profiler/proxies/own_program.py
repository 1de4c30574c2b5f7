"""Proxies with a program of the user's, or one that was fetched, in the place of the installed one."""

import stat
import subprocess
from dataclasses import replace
from pathlib import Path

from profiler.errors import UsageError
from profiler.proxies.base import ProxyVersion
from profiler.proxies.envoy_releases import package, release
from profiler.proxies.registry import find_proxy
from profiler.vocabulary.variant import Variant


def with_program(variant: Variant) -> Variant:
    """The variant with the path of its program, fetched where a version is named. Raises UsageError."""
    return replace(variant, binary=str(release(variant.version).binary)) if variant.version else variant


def package_of(variant: Variant) -> str | None:
    """What the program of a variant was fetched as; None where it was not."""
    return package(variant.version) if variant.version else None


def identify(proxy: str, variant: Variant) -> ProxyVersion:
    """Which build of a proxy a variant's program is.

    Raises:
        UsageError: it is no such program, or not one that the user of sidecars can run.
    """
    program = Path(variant.binary)
    blamed = variant.program_option
    try:
        mode = program.stat().st_mode
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{blamed}: {getattr(error, 'strerror', None) or error}; name the program of a proxy"
        ) from error
    if not stat.S_ISREG(mode):
        raise UsageError(f"{blamed}: is not a file; name the program of a proxy")
    if not mode & stat.S_IXOTH:
        raise UsageError(f"{blamed}: is not executable by every user, as sidecars need; name a program with mode 755")
    try:
        return find_proxy(proxy).with_program(program).identify()
    except UsageError as error:
        raise UsageError(f"{blamed}: {error}") from error
    except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
        raise UsageError(f"{blamed}: is not {proxy}: it does not print its version as {proxy} does") from error
