"""A directory where an attacker put whatever a program might look for, and who opened it."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from pathlib import Path

from umtrace.sources.bpf.text import bpf_directory, headers_directory

#: whose entry point pip writes; not in the checkout, whose directory Python would search first
SCRIPT = (
    "import sys\nfrom umtrace.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
)
_THIRD_PARTY = ("bcc", "bpf", "click", "jinja2", "matplotlib", "numpy", "pandas", "psutil")
_OTHERS = ("pyarrow", "rich", "sitecustomize", "usercustomize")
_IN_OPEN, _IN_ISDIR = 0x20, 0x40000000
_EVENT = struct.Struct("iIII")


def headers():
    """Return every name under which the compiler may include one of the headers."""
    mine = [path.relative_to(bpf_directory()) for path in bpf_directory().glob("*.h")]
    tree = headers_directory()
    theirs = [path.relative_to(tree) for path in tree.rglob("*.h")]
    return {*mine, *theirs, *(path.relative_to("include") for path in theirs), *_virtual()}


def _virtual():
    names = ("bpf.h", "helpers.h", "proto.h", "footer.h", "bpf_workaround.h", "compat/linux/bpf.h")
    return [Path(folder, name) for folder in ("bcc", "include/bcc") for name in names]


def modules(started_by_python=()):
    """Return every module that Python, or what umtrace needs, could import."""
    known = {name for name in sys.stdlib_module_names if not name.startswith("__")}
    return sorted((known | {*_THIRD_PARTY, *_OTHERS}) - {*started_by_python})


def fill(folder, *, without=()):
    """Fill a directory with headers that stop the compiler and modules that stop Python."""
    for name in headers():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('#error "a header of others"\n')
    for name in modules(without):
        # bcc is a folder of headers as well
        file = folder / name / "__init__.py" if (folder / name).is_dir() else folder / f"{name}.py"
        file.write_text(
            f"import os\nos.write(2, b'the module {name} of others\\n')\nos._exit(99)\n"
        )
    (folder / "matplotlibrc").write_text("text.usetex: True\nbackend: nosuchbackend\n")
    (folder / "page.html").write_text("a template of others")


def environment(folder):
    """Return variables that lead there, as far as sudo lets them pass or not."""
    place = str(folder)
    return {
        **os.environ,
        **dict.fromkeys(("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH"), place),
        "BCC_KERNEL_SOURCE": place,
        "BCC_LINUX_VERSION_CODE": "1",
        "CCC_OVERRIDE_OPTIONS": f"+-I{place} +-include{place}/event.h",
        "CCC_ADD_ARGS": f"-I{place}",
        "ARCH": "arm64",
        "TMPDIR": place,
    }


class Opened:
    """Counts who opens a file below a directory, under whatever name, by inotify."""

    def __init__(self, folder):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        assert self._fd >= 0
        for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
            assert self._libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_OPEN) >= 0

    def names(self):
        """Return the files that were opened since; listing a directory is none."""
        found = set()
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return sorted(found)
            while data:
                _watch, mask, _cookie, size = _EVENT.unpack_from(data)
                name = data[_EVENT.size : _EVENT.size + size].rstrip(b"\0").decode()
                if not mask & _IN_ISDIR:
                    found.add(name)
                data = data[_EVENT.size + size :]

    def close(self):
        os.close(self._fd)
