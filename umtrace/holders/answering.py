"""The program of the child process of `Asker`: it makes calls that may never return.

It is run by its path, imports nothing of the project and few modules, and so starts within
milliseconds. Questions and answers are marshalled; the length in 4 bytes comes before each.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False  # typing takes longer to import than all other modules together
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_RING = b"anon_inode:[io_uring]"
_ADDRESS_FIELD, _DEV_FIELD, _PATH_FIELD = 0, 3, 5
_FSOPEN, _FSCONFIG, _FSMOUNT, _FSCONFIG_CMD_CREATE = 430, 431, 432, 6
#: umount(2) and umount2(2), by machine
_UMOUNT = {
    "x86_64": {166},
    "aarch64": {39},
    "riscv64": {39},
    "ppc64le": {22, 52},
    "s390x": {22, 52},
}
UMOUNT_CALLS = frozenset(_UMOUNT.get(os.uname().machine, ()))
_UMOUNT_WORDS = frozenset(b"%d" % number for number in UMOUNT_CALLS)
_PRIORITY, _CPU = 15, 36  # positions after the name in /proc/PID/stat
_MOST_TEXT = 1 << 20
_PIDFD_OPEN, _PIDFD_GETFD = 434, 438  # one number on every architecture
_SO_PEEK_OFF, _SCM_PIDFD, _EBUSY = 42, 4, 16
_MOST_PEEKED = 1 << 18  # bytes before the first message with descriptors
#: where threads sleep that have nothing to do
_IDLE = frozenset(
    b"futex_wait_queue futex_wait_queue_me futex_do_wait ep_poll do_epoll_wait do_poll do_sys_poll"
    b" do_select poll_schedule_timeout hrtimer_nanosleep do_nanosleep pipe_read pipe_wait_readable"
    b" anon_pipe_read do_wait wait_woken unix_stream_read_generic unix_stream_data_wait"
    b" sigsuspend do_sigtimedwait inet_csk_accept __skb_wait_for_more_packets sk_wait_data"
    b" worker_thread rescuer_thread smpboot_thread_fn kthreadd kthread_worker_fn kauditd_thread"
    b" n_tty_read io_cqring_wait io_wq_worker io_sq_thread kjournald2 kswapd".split()
)


def mapped(
    pid: int, prefixes: list[bytes], devs: list[bytes]
) -> list[tuple[bytes, bytes, bool, int]]:
    """Return the mapped files with one of these prefixes, or on one of these devices (``07:01``).

    Each has its device, whether it is shared and writable, and the id of the mount through which
    it was opened. Only this id distinguishes files of one name; it is 0 if it cannot be read.
    """
    with open(f"/proc/{pid}/maps", "rb") as maps:  # noqa: PTH123
        data = maps.read()
    if not any(part in data for part in (*prefixes, *devs)):
        return []
    found: dict[tuple[bytes, ...], bool] = {}
    ranges: dict[tuple[bytes, ...], bytes] = {}
    for line in data.split(b"\n"):
        fields = line.split(maxsplit=_PATH_FIELD)
        if len(fields) <= _PATH_FIELD:
            continue
        name, modes = fields[_PATH_FIELD], fields[1]
        if name.startswith(tuple(prefixes)) or fields[_DEV_FIELD] in devs:
            file = (name, *fields[_DEV_FIELD:_PATH_FIELD])
            found[file] = found.get(file, False) or modes[1:4:2] in {b"ws", b"s"}
            ranges.setdefault(file, fields[_ADDRESS_FIELD])
    through = {file: _mount_of_a_range(pid, at) for file, at in ranges.items()}
    return [(file[0], file[1], writes, through[file]) for file, writes in found.items()]


def _mount_of_a_range(pid: int, addresses: bytes) -> int:
    """Return the mount id of a mapped file; the mapping itself holds the mount meanwhile."""
    try:
        start, end = (int(address, 16) for address in addresses.split(b"-"))
        file = os.open(f"/proc/{pid}/map_files/{start:x}-{end:x}", os.O_PATH | os.O_CLOEXEC)
    except OSError:  # no CAP_CHECKPOINT_RESTORE, or unmapped meanwhile
        return 0
    try:
        lines = _beginning(b"/proc/self/fdinfo/%d" % file).split(b"\n")
    finally:
        os.close(file)
    return next((int(line.split()[1]) for line in lines if line.startswith(b"mnt_id:")), 0)


def kind(path: bytes) -> tuple[int, int]:
    """Return the mode and the device number of a node; a link at its end is not followed."""
    status = os.lstat(path)
    return status.st_mode, status.st_rdev


def link(path: bytes) -> bytes:
    """Return the target of a link; OSError with EINVAL if the path is no link."""
    return os.readlink(path)  # noqa: PTH115


def calls(pid: int) -> list[tuple[int, bytes, bytes]]:
    """Return the sleeping threads of a process: id, system call, and its stack.

    The stack is there in state D, and in umount(2), where only it shows whether a path is walked.
    """
    found = []
    for name in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
        task = b"/proc/%d/task/%s/" % (pid, name.encode())
        state = _beginning(task + b"stat").rpartition(b")")[2][1:2]
        if state and state not in b"RZX":
            call = _beginning(task + b"syscall")
            shown = state == b"D" or call.partition(b" ")[0] in _UMOUNT_WORDS
            found.append((int(name), call, _beginning(task + b"stack") if shown else b""))
    return found


def asleep(pid: int, beside: bool) -> list[tuple[int, bytes, bytes, bytes, bytes]]:
    """Return the threads of a process that may hang: id, stat, schedstat, system call, stack.

    Left out are those that sleep where idle threads do, and those that have ended. With ``beside``
    the stack of a thread that runs is there, too: it is read on the CPU of the thread.
    """
    found = []
    for name in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208
        task = b"/proc/%d/task/%s/" % (pid, name.encode())
        stat = _beginning(task + b"stat")
        state = stat.rpartition(b")")[2][1:2]
        if not state or state in b"ZXI":
            continue
        if state == b"S" and _beginning(task + b"wchan").partition(b".")[0] in _IDLE:
            continue
        ran, call, stack = (
            _beginning(task + each) for each in (b"schedstat", b"syscall", b"stack")
        )
        if beside and state == b"R" and not stack:
            stack = _beside(task, stat)
        found.append((int(name), stat, ran, call, stack))
    return found


def _beside(task: bytes, stat: bytes) -> bytes:
    """Return the stack of a thread that runs: while we have its CPU, it does not."""
    fields = stat.rpartition(b")")[2].split()
    if int(fields[_PRIORITY]) < 0:  # real-time: we would wait for it
        return b""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {int(fields[_CPU])})
        return _beginning(task + b"stack")
    except OSError:  # a CPU that we may not use
        return b""
    finally:
        os.sched_setaffinity(0, before)


def memory(pid: int, address: int, size: int) -> bytes:
    """Return a part of a task's memory, up to the first page that is not present."""
    file = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(file, size, address)
    finally:
        os.close(file)


def texts(folder: bytes, fstype: str) -> list[tuple[bytes, bytes]]:
    """Return the name and the beginning of each file of a folder; empty if it cannot be read.

    With ``fstype``, of the root of that file system instead, which gets no mount point for it.
    """
    if not fstype:
        return [(name, _beginning(os.path.join(folder, name))) for name in os.listdir(folder)]  # noqa: PTH118, PTH208
    root = _detached(fstype.encode())
    try:
        return texts(b"/proc/self/fd/%d" % root, "")
    finally:
        os.close(root)


def _detached(fstype: bytes) -> int:
    """Return a descriptor of the root of a file system (Linux 5.2), in no mount namespace."""
    import ctypes  # noqa: PLC0415 - takes 10 ms, and is seldom needed

    libc = ctypes.CDLL(None, use_errno=True)

    def call(*args: object) -> int:
        words = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
        result: int = libc.syscall(*words)
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    context = call(_FSOPEN, fstype, 1)
    try:
        call(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return call(_FSMOUNT, context, 1, 0)
    finally:
        os.close(context)


def fsid(path: bytes) -> int:
    """Return f_fsid of the file system that a link of /proc leads to."""
    return os.statvfs(path).f_fsid


def loop(path: bytes) -> tuple[int, bytes]:
    """Return the number of a loop device and its struct loop_info64.

    If this is the last close, a device with autoclear is detached, which would happen anyway.
    """
    import fcntl  # noqa: PLC0415 - only for loop devices

    info = bytearray(232)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, 0x4C05, info)  # LOOP_GET_STATUS64
        return os.fstat(fd).st_rdev, bytes(info)
    finally:
        os.close(fd)


def seen_from(root: bytes, file: bytes) -> bytes:
    """Return the text of a file that has a path, as the kernel writes it for another root.

    A path that cannot be reached from that root begins at the root of its mount namespace.
    """
    own = os.open("/", os.O_PATH | os.O_CLOEXEC)
    text = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.chroot(root)
        try:
            return os.read(text, 1 << 16)
        finally:
            os.fchdir(own)
            os.chroot(".")
    finally:
        os.close(own)
        os.close(text)


def queued(pid: int, fd: int, name: bytes) -> list[tuple[int, bytes]]:
    """Return mount id and link of the descriptors that are next in the queue of a Unix socket.

    MSG_PEEK copies them for a moment and leaves them in the queue (pidfd_getfd(2), Linux 5.6).
    OSError if that is refused, or if the owner of the socket uses a peek offset: it would move.
    """
    import array  # noqa: PLC0415 - only for descriptors in flight
    import ctypes  # noqa: PLC0415
    import socket  # noqa: PLC0415

    libc, found = ctypes.CDLL(None, use_errno=True), array.array("i")
    task = libc.syscall(_PIDFD_OPEN, pid, 0)
    copy = libc.syscall(_PIDFD_GETFD, task, fd, 0)
    if task >= 0:
        os.close(task)
    if copy < 0:
        raise OSError(ctypes.get_errno(), "pidfd_getfd")
    with socket.socket(fileno=copy) as one:
        same = os.readlink(b"/proc/self/fd/%d" % copy) == name  # noqa: PTH115
        if not same or one.getsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF) >= 0:
            raise OSError(_EBUSY, "cannot be read")
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT | socket.MSG_CMSG_CLOEXEC
        messages = one.recvmsg(_MOST_PEEKED, 4096, flags)[1]
    for level, kind, data in messages:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            found.frombytes(data[: len(data) // found.itemsize * found.itemsize])
        elif (level, kind) == (socket.SOL_SOCKET, _SCM_PIDFD):
            os.close(int.from_bytes(data[:4], sys.byteorder))
    try:
        return [_opened(number) for number in found]
    finally:
        for number in found:
            os.close(number)


def _opened(number: int) -> tuple[int, bytes]:
    for line in _beginning(b"/proc/self/fdinfo/%d" % number).split(b"\n"):
        if line.startswith(b"mnt_id:"):
            return int(line[7:]), os.readlink(b"/proc/self/fd/%d" % number)  # noqa: PTH115
    raise OSError(_EBUSY, "no mount id")


def beginning(path: bytes) -> bytes:
    """Return the beginning of a file; empty if it cannot be read."""
    return _beginning(path)


def _beginning(path: bytes) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read(_MOST_TEXT)
    except OSError:
        return b""


_QUESTIONS: dict[str, Callable[..., object]] = {
    "mapped": mapped,
    "kind": kind,
    "link": link,
    "calls": calls,
    "asleep": asleep,
    "beginning": beginning,
    "memory": memory,
    "texts": texts,
    "fsid": fsid,
    "loop": loop,
    "seen_from": seen_from,
    "queued": queued,
}
_LOOKING = frozenset({"opened", "of_threads", "samples"})  # functions of looking.py


def _question(what: str) -> Callable[..., object]:
    if what in _LOOKING:
        import looking  # type: ignore[import-not-found] # noqa: PLC0415 - beside this file

        _QUESTIONS.update({name: getattr(looking, name) for name in _LOOKING})
    elif what == "compared":
        import comparing  # type: ignore[import-not-found] # noqa: PLC0415 - beside this file

        return comparing.compared  # type: ignore[no-any-return]
    return _QUESTIONS[what]


def _answer(what: str, args: tuple[Any, ...]) -> Any:
    try:
        return 0, _question(what)(*args)
    except OSError as error:
        return error.errno or 5, None


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def main() -> None:
    """Answer until the input ends."""
    while True:
        what, each = marshal.loads(_read(int.from_bytes(_read(4), "little")))  # noqa: S302
        for args in each:
            data = marshal.dumps(_answer(what, args))
            data = len(data).to_bytes(4, "little") + data
            while data:
                data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.path.append(os.path.dirname(__file__))  # noqa: PTH120
    main()
