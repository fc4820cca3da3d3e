"""Holders of every kind, made for real: each row of the `why` matrix (scripts/why-matrix).

A kind is Python that runs in a child with a mount namespace of its own, after HEAD: it may set
``mnt`` (what `why` is asked about) and ``truth`` (whether it is busy: an errno, 0 if it was not).
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = """
import ctypes, errno, json, os, shutil, socket, struct, subprocess, sys, threading, time
from pathlib import Path
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
work, repo = Path(sys.argv[1]), Path(sys.argv[2]); mnt = work / "mnt"; mnt.mkdir()
run_dir = work / "run"; run_dir.mkdir()
syscalls.mount("none", str(mnt), "tmpfs"); (mnt / "x").write_text("x" * 4096)
undo = []
def truth():
    "What umount(2) of the mount says, once."
    return syscalls.timed_umount(os.fsencode(mnt), 0)[2]
def claim(node=None):
    "What open(O_EXCL) of the device says."
    try: os.close(os.open(node or mnt, os.O_RDONLY | os.O_EXCL))
    except OSError as error: return error.errno
    return 0
def begin(code, *prefix, arg=None):
    "Run Python that holds something, until it is ended; return when it does."
    code += "; print(1, flush=True); sys.stdin.read()"
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    command = [*prefix, sys.executable, "-c", "import os, sys;" + code, str(arg or mnt)]
    child = subprocess.Popen(command, cwd="/", **pipes)
    undo.append(child.kill)
    child.said = child.stdout.readline().decode().strip(); assert child.said, code
    return child
def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
def sparse(name, mib, folder=work):
    with (folder / name).open("wb") as file: file.truncate(mib << 20)
    return folder / name
def loop(name="image", mib=64, folder=work, *options):
    node = run("losetup", "-f", "--show", *options, str(sparse(name, mib, folder)))
    undo.append(lambda: subprocess.run(["losetup", "-d", node], capture_output=True))
    return node
def onto(node, point=None):
    "Mount a new ext4 of a device."
    run("mkfs.ext4", "-q", "-F", node); point = point or work / "fs"; point.mkdir(exist_ok=True)
    syscalls.mount(node, str(point), "ext4"); return point
"""

#: asks with and without the kernel, compares with the truth, and applies the remedies
TAIL = """
def ask(*options):
    command = [sys.executable, "-m", "umtrace", "why", "--json", *options, str(mnt)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    answer = json.loads(done.stdout); assert answer["exit_code"] == done.returncode
    return answer
def gone():
    until = time.monotonic() + 20
    while (number := truth()) and time.monotonic() < until: time.sleep(0.1)
    return number
def ours(pid):
    "Whether it is of this session: others on the host may be suspects, too."
    try: return pid is None or os.getsid(pid) == os.getsid(0)
    except ProcessLookupError: return False
answers = [ask(), ask("--ask-kernel")]
before, tried = truth(), []
for holder in answers[1]["holders"] if before else ():
    command = holder["command"]
    relevant = holder["of"] in {"mount", "copy", "claim", "open", "suspect"}
    relevant = (relevant or answers[1]["subject"] == "device") and ours(holder.get("pid"))
    if relevant and command:
        if command not in [each[0] for each in tried]:
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
            tried.append([command, done.returncode, done.stderr[-200:]])
after = gone() if before else 0
print(json.dumps({"answers": answers, "before": before, "tried": tried, "after": after}))
"""

#: whatever happens
END = """
for each in reversed(undo):
    try: each()
    except Exception as error: print(error, file=sys.stderr)
"""


@dataclass(frozen=True)
class Kind:
    """A kind of holder: how it is made, and what `why` must say of it.

    ``holder`` is (kind, of), None where nobody is to be seen; ``or_suspect`` where older kernels
    tell less of it; ``needs`` are programs, files, and file systems that a host may lack.
    """

    name: str
    script: str
    holder: tuple[str, str] | None
    states: tuple[str, ...] = ("held",)
    needs: tuple[str, ...] = ()
    or_suspect: bool = False

    def seen_in(self, holders: set[tuple[str, str]]) -> tuple[str, str] | None:
        """Return what is seen of it among holders; None if nothing is, or nobody is to be seen."""
        suspect = (self.holder[0], "suspect") if self.holder and self.or_suspect else None
        return next((each for each in (self.holder, suspect) if each and each in holders), None)

    @property
    def tried_elsewhere(self) -> bool:
        """Whether another quick test makes this kind as well."""
        return self.name in _ELSEWHERE


#: by tests/holders/test_why.py and test_unshown.py
_ELSEWHERE = frozenset(
    {
        "working directory",
        "root directory",
        "open file",
        "mapped file",
        "bound socket, its file deleted",
        "mount below it",
        "overlay on it",
        "another namespace has it too",
        "binfmt_misc interpreter, flag F",
        "unread events of a fanotify group",
        "descriptor in flight in a socket",
        "mount context of fsopen(2)",
        "task that opens a FIFO",
    }
)


MOUNTS = (
    Kind("nobody", "", None, ("nobody-seen", "unknown")),
    Kind("working directory", "begin('os.chdir(sys.argv[1])')", ("cwd", "mount")),
    Kind("root directory", "begin('os.chroot(sys.argv[1])')", ("root", "mount")),
    Kind("open file", "begin('f = open(sys.argv[1] + \"/x\")')", ("fd", "mount")),
    Kind(
        "O_PATH descriptor of a deleted file",
        "begin('p = sys.argv[1] + \"/x\"; f = os.open(p, os.O_PATH); os.unlink(p)')",
        ("fd", "mount"),
    ),
    Kind(
        "program",
        """
shutil.copy(shutil.which("sleep"), mnt / "sleep")
child = subprocess.Popen([str(mnt / "sleep"), "1000"], cwd="/"); undo.append(child.kill)
while not os.readlink(f"/proc/{child.pid}/exe").endswith("/mnt/sleep"): time.sleep(0.01)
""",
        ("exe", "mount"),
    ),
    Kind(
        "mapped file",
        'begin(\'import mmap; f = os.open(sys.argv[1] + "/x", 2); m = mmap.mmap(f, 0);'
        " os.close(f)')",
        ("maps", "mount"),
    ),
    Kind(
        "bound socket, its file deleted",
        'begin(\'import socket; s = socket.socket(socket.AF_UNIX); p = sys.argv[1] + "/s";'
        " s.bind(p); os.unlink(p)')",
        ("socket", "mount"),
    ),
    Kind(
        "thread with a directory of its own",
        "begin('import threading, ctypes; e = threading.Event();"
        " t = threading.Thread(target=lambda: (ctypes.CDLL(None).unshare(0x200),"
        ' os.chdir(sys.argv[1]), e.set(), __import__("time").sleep(1000)), daemon=True);'
        " t.start(); e.wait()')",
        ("cwd", "mount"),
    ),
    Kind(
        "mount below it",
        '(mnt / "s").mkdir(); syscalls.mount("none", str(mnt / "s"), "tmpfs")',
        ("submount", "mount"),
    ),
    Kind(
        "loop device",
        'loop("image", 4, mnt)',
        ("loop", "mount"),
    ),
    Kind(
        "loop device detached, but open",
        """
node = loop("image", 4, mnt); begin("f = os.open(sys.argv[1], 0)", arg=node)
run("losetup", "-d", node)
""",
        ("fd", "open"),
    ),
    Kind(
        "loop device with a file system mounted",
        'onto(loop("image", 64, mnt))',
        ("mount", "claim"),
    ),
    Kind(
        "loop device of another namespace, on a copy",
        """
top = loop("disk", 64); mnt = onto(top); (mnt / "img").touch(); os.truncate(mnt / "img", 1 << 20)
other = begin("import subprocess; print(subprocess.run(['losetup', '-f', '--show', sys.argv[1] +"
              " '/img'], capture_output=True, text=True).stdout.strip(), flush=True)", "unshare",
              "-m", "--propagation", "private")
undo.insert(0, lambda: subprocess.run(["losetup", "-d", other.said], capture_output=True))
""",
        ("loop", "superblock"),
        ("superblock", "unknown"),
    ),
    Kind(
        "loop device, the mount copied to another namespace",
        """
disk = loop("disk", 64); mnt = onto(disk); node = loop("img", 4, mnt)
begin("0", "unshare", "-m", "--propagation", "private")
""",
        ("loop", "mount"),
    ),
    Kind(
        "loop device on a btrfs subvolume",
        """
disk = loop("disk", 200); mnt = work / "fs"; mnt.mkdir(); run("mkfs.btrfs", "-q", "-f", disk)
syscalls.mount(disk, str(mnt), "btrfs"); run("btrfs", "-q", "subvolume", "create", str(mnt / "s"))
loop("img", 4, mnt / "s")
""",
        ("loop", "mount"),
        needs=("mkfs.btrfs",),
    ),
    Kind(
        "EROFS image without a loop device",
        """
disk = loop("disk", 64); mnt = onto(disk); (work / "src").mkdir(); (work / "erofs").mkdir()
run("mkfs.erofs", str(mnt / "image"), str(work / "src"))
syscalls.mount(str(mnt / "image"), str(work / "erofs"), "erofs", syscalls.MS_RDONLY)
""",
        ("mount", "mount"),
        needs=("mkfs.erofs",),
    ),
    Kind(
        "swap file",
        """
disk = loop("disk", 64); mnt = onto(disk); file = mnt / "swap"
file.write_bytes(bytes(8 << 20)); os.chmod(file, 0o600); run("mkswap", str(file))
run("swapon", str(file)); undo.append(lambda: subprocess.run(["swapoff", str(file)]))
""",
        ("swap", "mount"),
    ),
    Kind(
        "uprobe event",
        """
shutil.copy(shutil.which("sleep"), mnt / "sleep")
name = f"umt{os.getpid()}/x"
def write(line):  # open(…, "a") looks for the end of the file, which tracefs refuses
    events = os.open("/sys/kernel/tracing/uprobe_events", os.O_WRONLY | os.O_APPEND)
    os.write(events, line.encode()); os.close(events)
write(f"p:{name} {mnt}/sleep:0x1000\\n"); undo.append(lambda: write(f"-:{name}\\n"))
""",
        ("uprobe", "mount"),
        needs=("/sys/kernel/tracing/uprobe_events",),
    ),
    Kind(
        "copy in another namespace",
        """
top = work / "top"; top.mkdir(); syscalls.mount("none", str(top), "tmpfs")
syscalls.mount("none", str(top), flags=syscalls.MS_SHARED); (top / "mnt").mkdir()
mnt = top / "mnt"; syscalls.mount("none", str(mnt), "tmpfs")
begin("from umtrace.exercise import syscalls; syscalls.unshare_mounts(); os.chdir(sys.argv[1])")
""",
        ("cwd", "copy"),
    ),
    Kind(
        "overlay on it",
        """
up = work / "up"; up.mkdir(); syscalls.mount("none", str(up), "tmpfs")
for name in ("u", "w", "m"): (up / name).mkdir()
options = f"lowerdir={mnt},upperdir={up}/u,workdir={up}/w"
syscalls.mount("overlay", str(up / "m"), "overlay", data=options)
""",
        ("overlay", "superblock"),
        ("superblock",),
    ),
    Kind(
        "another namespace has it too",
        "begin('from umtrace.exercise import syscalls; syscalls.unshare_mounts()')",
        ("mount", "superblock"),
        ("superblock",),
    ),
)

#: no descriptor of anybody shows these
UNSHOWN = (
    Kind(
        "binfmt_misc interpreter, flag F",
        """
misc = work / "misc"; misc.mkdir(); syscalls.mount("none", str(misc), "binfmt_misc")
shutil.copy("/bin/true", mnt / "true"); name = f"umt{os.getpid()}"
(misc / "register").write_text(f":{name}:M::{name}::{mnt}/true:F")
undo.append(lambda: (misc / name).exists() and (misc / name).write_text("-1"))
""",
        ("binfmt", "mount"),
        needs=("filesystem binfmt_misc",),
    ),
    Kind(
        "unread events of a fanotify group",
        """
begin("import ctypes; c = ctypes.CDLL(None); g = c.fanotify_init(0, 0);"
      " assert c.fanotify_mark(g, 0x11, ctypes.c_uint64(0x20), -100, sys.argv[1].encode()) == 0")
(mnt / "x").read_text()
""",
        ("fanotify", "mount"),
    ),
    Kind(
        "file registered in an idle io_uring",
        """
begin("import ctypes, mmap; c = ctypes.CDLL(None); c.syscall.argtypes = [ctypes.c_long] * 5;"
      " p = ctypes.create_string_buffer(120); r = c.syscall(425, 8, ctypes.addressof(p), 0, 0);"
      " f = os.open(sys.argv[1] + '/x', 0); b = (ctypes.c_int * 1)(f);"
      " assert c.syscall(427, r, 2, ctypes.addressof(b), 1) == 0; os.close(f)")
""",
        ("io-uring", "mount"),
        ("held", "unknown"),
        or_suspect=True,  # 5.10 and 6.12 show the last component of a path alone
    ),
    Kind(
        "descriptor in flight in a socket",
        """
begin("import array, socket; a, b = socket.socketpair(); f = os.open(sys.argv[1] + '/x', 0);"
      " a.sendmsg([b'x'], [(1, 1, array.array('i', [f]))]); os.close(f)")
""",
        ("in-flight", "mount"),
    ),
    Kind(
        "mount context of fsopen(2)",
        """
begin("from umtrace.kernel.syscalls import FSCONFIG, FSOPEN, syscall;"
      " end = bytes(1); c = syscall(FSOPEN, b'overlay' + end, 1);"
      " syscall(FSCONFIG, c, 1, b'lowerdir' + end, sys.argv[1].encode() + end, 0)")
""",
        ("fscontext", "suspect"),
        ("unknown",),
    ),
    Kind(
        "clone of open_tree(2), a file open in it",
        """
begin("from umtrace.exercise import syscalls; t = syscalls.open_tree_clone(sys.argv[1]);"
      " f = os.open('x', 0, dir_fd=t); os.close(t)")
""",
        ("fd", "superblock"),
        ("superblock",),
    ),
    Kind(
        "task that opens a FIFO",
        """
os.mkfifo(mnt / "fifo"); child = subprocess.Popen(["cat", str(mnt / "fifo")], cwd="/")
undo.append(child.kill); where = Path(f"/proc/{child.pid}/syscall")
while where.read_text().split()[0] not in {"2", "56", "257"}: time.sleep(0.01)
""",
        ("walk", "mount"),
    ),
    Kind(
        "task in a path walk on a silent FUSE server",
        """
point = work / "fuse"; point.mkdir(); server = repo / "tests" / "holders" / "fuse_server.py"
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
serves = subprocess.Popen([sys.executable, str(server), str(point), "LOOKUP"], **pipes)
undo.append(serves.kill); serves.stdout.readline(); mnt = point
child = subprocess.Popen(["stat", str(point / "y")], stderr=subprocess.DEVNULL, cwd="/")
undo.append(child.kill); where = Path(f"/proc/{child.pid}/syscall")
while where.read_text().split()[0] not in {"4", "6", "79", "262", "291", "332"}: time.sleep(0.01)
""",
        ("walk", "mount"),
        needs=("/dev/fuse",),
    ),
    Kind(
        "uprobe of bpftrace",
        """
libc = next(line.split()[-1] for line in open("/proc/self/maps") if "/libc.so" in line)
shutil.copy(libc, mnt / "libc"); tick = 'interval:ms:100 { printf("on\\\\n"); }'
command = ["bpftrace", "-B", "line", "-e", f"uprobe:{mnt}/libc:malloc {{ @ = count(); }} {tick}"]
child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd="/", text=True)
undo.append(child.kill); assert "on\\n" in child.stdout
""",
        ("perf-uprobe", "mount"),
        needs=("bpftrace", "/sys/bus/event_source/devices/uprobe"),
    ),
)
