"""System calls that walk a path, by their numbers in /proc/PID/syscall."""

from __future__ import annotations

import platform
from typing import NamedTuple


class PathCall(NamedTuple):
    """A call's name, and where its paths are: (argument, argument of the directory or None)."""

    name: str
    paths: tuple[tuple[int, int | None], ...] = ((0, None),)


_AT = ((1, 0),)
_TWO = ((0, None), (1, None))
_TWO_AT = ((1, 0), (3, 2))
_SECOND = ((1, None),)

_EVERYWHERE = {
    428: PathCall("open_tree", _AT),
    429: PathCall("move_mount", _TWO_AT),
    433: PathCall("fspick", _AT),
    437: PathCall("openat2", _AT),
    439: PathCall("faccessat2", _AT),
    442: PathCall("mount_setattr", _AT),
    452: PathCall("fchmodat2", _AT),
}
_X86_64 = {
    2: PathCall("open"),
    4: PathCall("stat"),
    6: PathCall("lstat"),
    21: PathCall("access"),
    59: PathCall("execve"),
    76: PathCall("truncate"),
    80: PathCall("chdir"),
    82: PathCall("rename", _TWO),
    83: PathCall("mkdir"),
    84: PathCall("rmdir"),
    85: PathCall("creat"),
    86: PathCall("link", _TWO),
    87: PathCall("unlink"),
    88: PathCall("symlink", _SECOND),
    89: PathCall("readlink"),
    90: PathCall("chmod"),
    92: PathCall("chown"),
    94: PathCall("lchown"),
    132: PathCall("utime"),
    133: PathCall("mknod"),
    137: PathCall("statfs"),
    155: PathCall("pivot_root", _TWO),
    161: PathCall("chroot"),
    163: PathCall("acct"),
    165: PathCall("mount", _TWO),
    167: PathCall("swapon"),
    188: PathCall("setxattr"),
    189: PathCall("lsetxattr"),
    191: PathCall("getxattr"),
    192: PathCall("lgetxattr"),
    194: PathCall("listxattr"),
    195: PathCall("llistxattr"),
    197: PathCall("removexattr"),
    198: PathCall("lremovexattr"),
    235: PathCall("utimes"),
    254: PathCall("inotify_add_watch", _SECOND),
    257: PathCall("openat", _AT),
    258: PathCall("mkdirat", _AT),
    259: PathCall("mknodat", _AT),
    260: PathCall("fchownat", _AT),
    261: PathCall("futimesat", _AT),
    262: PathCall("newfstatat", _AT),
    263: PathCall("unlinkat", _AT),
    264: PathCall("renameat", _TWO_AT),
    265: PathCall("linkat", _TWO_AT),
    266: PathCall("symlinkat", ((2, 1),)),
    267: PathCall("readlinkat", _AT),
    268: PathCall("fchmodat", _AT),
    269: PathCall("faccessat", _AT),
    280: PathCall("utimensat", _AT),
    301: PathCall("fanotify_mark", ((4, 3),)),
    303: PathCall("name_to_handle_at", _AT),
    316: PathCall("renameat2", _TWO_AT),
    322: PathCall("execveat", _AT),
    332: PathCall("statx", _AT),
}
_GENERIC = {
    5: PathCall("setxattr"),
    6: PathCall("lsetxattr"),
    8: PathCall("getxattr"),
    9: PathCall("lgetxattr"),
    11: PathCall("listxattr"),
    12: PathCall("llistxattr"),
    14: PathCall("removexattr"),
    15: PathCall("lremovexattr"),
    27: PathCall("inotify_add_watch", _SECOND),
    33: PathCall("mknodat", _AT),
    34: PathCall("mkdirat", _AT),
    35: PathCall("unlinkat", _AT),
    36: PathCall("symlinkat", ((2, 1),)),
    37: PathCall("linkat", _TWO_AT),
    38: PathCall("renameat", _TWO_AT),
    40: PathCall("mount", _TWO),
    41: PathCall("pivot_root", _TWO),
    43: PathCall("statfs"),
    45: PathCall("truncate"),
    48: PathCall("faccessat", _AT),
    49: PathCall("chdir"),
    51: PathCall("chroot"),
    53: PathCall("fchmodat", _AT),
    54: PathCall("fchownat", _AT),
    56: PathCall("openat", _AT),
    78: PathCall("readlinkat", _AT),
    79: PathCall("newfstatat", _AT),
    88: PathCall("utimensat", _AT),
    89: PathCall("acct"),
    221: PathCall("execve"),
    224: PathCall("swapon"),
    263: PathCall("fanotify_mark", ((4, 3),)),
    264: PathCall("name_to_handle_at", _AT),
    276: PathCall("renameat2", _TWO_AT),
    281: PathCall("execveat", _AT),
    291: PathCall("statx", _AT),
}
_OF_MACHINE = {"x86_64": _X86_64, "aarch64": _GENERIC, "riscv64": _GENERIC}
#: empty on machines with unknown numbers; then only the stack shows the call of a task
PATH_CALLS = _EVERYWHERE | _OF_MACHINE.get(platform.machine(), {})
if platform.machine() not in _OF_MACHINE:
    PATH_CALLS = {}
