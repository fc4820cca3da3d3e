"""Every error umtrace raises on purpose, each with its exit code.

::

    UmtraceError            1  error
    ├── UsageError          2  the command line asks for something impossible
    ├── NotPermittedError   3  root or a capability is missing
    ├── NoTierError         4  nothing usable on this kernel
    ├── DamagedInputError   5  a recording that cannot be read
    └── StoppedError    128+n  signal n ended the command before its work was done

The message is one line that says what to do about it. The library raises; only
``umtrace.cli`` prints and exits.
"""

from __future__ import annotations

from signal import Signals

#: what extras bring: the library, and the extra that has it
_EXTRAS = {
    **dict.fromkeys(("pandas", "matplotlib", "jinja2", "markupsafe"), "report"),
    **dict.fromkeys(("dask", "distributed", "fsspec"), "fleet"),
}


class UmtraceError(Exception):
    """Base of all errors a user can act on."""

    exit_code = 1


class UsageError(UmtraceError):
    """The request contradicts itself or names something that does not exist."""

    exit_code = 2


class NotPermittedError(UmtraceError):
    """The kernel refused; the message names the privilege that is missing."""

    exit_code = 3


class NoTierError(UmtraceError):
    """No live tier works on this host."""

    exit_code = 4


class DamagedInputError(UmtraceError):
    """A recording is truncated, empty, of a newer format, or not a recording."""

    exit_code = 5


class StoppedError(UmtraceError):
    """A signal ended a command before its work was done."""

    def __init__(self, number: int, when: str = "before the probes were attached") -> None:
        super().__init__(f"stopped by {Signals(number).name} {when}")
        self.exit_code = 128 + number


def not_installed(error: ModuleNotFoundError) -> str | None:
    """Return what to install, for a library that an extra brings; None for any other module."""
    name = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(name)
    return extra and f"this needs {name}, which is not installed: pip install 'umtrace[{extra}]'"
