"""Why the kernel refuses something, from its errno and from the privileges of this process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from umtrace.model.errors import NoTierError, NotPermittedError, UmtraceError

_STATUS = Path("/proc/self/status")
#: securityfs may not be mounted; then the mode is unknown
LOCKDOWN = Path("/sys/kernel/security/lockdown")
_KPTR_RESTRICT = Path("/proc/sys/kernel/kptr_restrict")
_PERF_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
#: bits of include/uapi/linux/capability.h; CAP_SYS_ADMIN stands for the first two
_CAPABILITIES = {38: "CAP_PERFMON", 39: "CAP_BPF"}
_SYS_ADMIN, _SYSLOG = 21, 34
#: above it, Debian's and Ubuntu's kernels refuse perf events to all without a capability
_PARANOID_FOR_ALL = 2
_HIDDEN_FROM_ALL = 2
_NO_RESOURCE = {
    errno.EMFILE: "too many open files in this process: raise the limit, ulimit -n",
    errno.ENFILE: "too many open files on this host: raise the limit, sysctl fs.file-max",
    errno.ENOMEM: "out of memory",
    errno.ENOSPC: "no space left",
}
_ABSENT = frozenset({errno.ENOENT, errno.ENODEV, errno.ENOTDIR})


def refusal(what: str, error: OSError, *, absent: str = "") -> UmtraceError:
    """Return the error to raise for what the kernel refused.

    Parameters
    ----------
    what : str
        What was tried, as the beginning of a sentence.
    absent : str, optional
        The message if the thing itself does not exist.

    Returns
    -------
    UmtraceError
        NotPermittedError if a privilege is missing, NoTierError if the kernel has no such thing,
        UmtraceError if a resource ran out, so that the kernel may still have it.
    """
    if error.errno in _NO_RESOURCE:
        return UmtraceError(f"{what}: {_NO_RESOURCE[error.errno]}")
    if error.errno in {errno.EPERM, errno.EACCES}:
        return NotPermittedError(f"{what}: {missing_privilege() or error.strerror}")
    if absent and error.errno in _ABSENT:
        return NoTierError(absent)
    if locked := locked_down():  # tracefs and the verifier then fail with EINVAL
        return NotPermittedError(f"{what}: {locked}")
    return NoTierError(f"{what}: {error.strerror}")


def require_root() -> None:
    """Raise NotPermittedError for every other user."""
    if os.geteuid() != 0:
        raise NotPermittedError(missing_capability())


def missing_privilege() -> str:
    """Return what keeps this process from tracing, and the remedy; empty if nothing is found."""
    return missing_capability() or locked_down()


def locked_down() -> str:
    """Return that the lockdown refuses tracing to root, and the remedy; empty if it does not."""
    if lockdown() == "confidentiality":
        return "the kernel is locked down (confidentiality): boot with lockdown=integrity or none"
    return ""


def missing_capability() -> str:
    """Return what this user lacks for tracing, and the remedy; empty if nothing is found."""
    if os.geteuid() != 0:
        return "tracing needs root: run it with sudo"
    missing = [] if _has(_SYS_ADMIN) else [n for bit, n in _CAPABILITIES.items() if not _has(bit)]
    if missing:
        return f"root lacks {' and '.join(missing)}: give this container or unit CAP_SYS_ADMIN"
    return ""


def lockdown() -> str | None:
    """Return the mode of the kernel's lockdown: none, integrity, confidentiality; None: unknown."""
    try:
        words = LOCKDOWN.read_text().split()
    except OSError:
        return None
    return next((word.strip("[]") for word in words if word.startswith("[")), None)


def hidden_addresses() -> tuple[str, str]:
    """Return why /proc/kallsyms shows no addresses, and the remedy; both may be empty.

    See kallsyms_show_value() of the kernel: 2 hides them from all, 1 and, as a rule, 0 from
    those without CAP_SYSLOG.
    """
    if lockdown() == "confidentiality":
        return "lockdown=confidentiality", "boot with lockdown=integrity or none"
    if (_number(_KPTR_RESTRICT) or 0) >= _HIDDEN_FROM_ALL:
        return "kptr_restrict=2", "sysctl kernel.kptr_restrict=1, as root"
    if not _has(_SYSLOG):
        return "no CAP_SYSLOG", "run it as root, or give this container or unit CAP_SYSLOG"
    return "/proc/kallsyms shows none", ""


def addresses_hidden() -> str:
    """Return why addresses are hidden, as the reason in a probe plan."""
    return f"kernel addresses hidden ({hidden_addresses()[0]})"


def perf_refused() -> str:
    """Return the remark on a refused perf event: the sysctl, if that is the reason."""
    value = _number(_PERF_PARANOID)
    if value is None or value <= _PARANOID_FOR_ALL or _has(_SYS_ADMIN) or _has(38):
        return ""
    return f"kernel.perf_event_paranoid={value} and no CAP_PERFMON: set the sysctl to 2"


def _has(bit: int) -> bool:
    try:
        lines = dict(line.partition(":")[::2] for line in _STATUS.read_text().splitlines())
        return bool(int(lines["CapEff"], 16) >> bit & 1)
    except (OSError, KeyError, ValueError):
        return os.geteuid() == 0  # without /proc this is the best guess


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
