"""System calls that walk a path, and keep no reference of theirs when they return.

A reference put inside one of them was taken by it: nothing else that a task may hold (an open
file, its working directory) is let go there. Files are closed on the way back to user mode,
after the call proper. close, dup2, chdir, chroot, execve, exit, mount, bind are none of these.
"""

from __future__ import annotations

from typing import Final

#: number on x86-64 -> name
PATH_CALLS: Final = {
    2: "open",
    4: "stat",
    6: "lstat",
    21: "access",
    76: "truncate",
    82: "rename",
    83: "mkdir",
    84: "rmdir",
    85: "creat",
    86: "link",
    87: "unlink",
    88: "symlink",
    89: "readlink",
    90: "chmod",
    92: "chown",
    94: "lchown",
    132: "utime",
    133: "mknod",
    137: "statfs",
    166: "umount",
    188: "setxattr",
    189: "lsetxattr",
    191: "getxattr",
    192: "lgetxattr",
    194: "listxattr",
    195: "llistxattr",
    197: "removexattr",
    198: "lremovexattr",
    235: "utimes",
    254: "inotify_add_watch",
    257: "openat",
    258: "mkdirat",
    259: "mknodat",
    260: "fchownat",
    261: "futimesat",
    262: "newfstatat",
    263: "unlinkat",
    264: "renameat",
    265: "linkat",
    266: "symlinkat",
    267: "readlinkat",
    268: "fchmodat",
    269: "faccessat",
    280: "utimensat",
    301: "fanotify_mark",
    303: "name_to_handle_at",
    316: "renameat2",
    332: "statx",
    437: "openat2",
    439: "faccessat2",
    452: "fchmodat2",
}

#: those that leave a file open, which has a reference of its own
OPEN_CALLS: Final = frozenset({2, 85, 257, 437})


def words() -> list[int]:
    """Return PATH_CALLS as 64-bit words, bit ``n & 63`` of word ``n >> 6``, for the programs."""
    found = [0] * (max(PATH_CALLS) // 64 + 1)
    for number in PATH_CALLS:
        found[number >> 6] |= 1 << (number & 63)
    return found
