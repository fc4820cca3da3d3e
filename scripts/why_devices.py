"""Block devices that somebody claims or has open: the second part of the `why` matrix."""

from __future__ import annotations

from why_kinds import Kind

DEVICES = (
    Kind("device: nobody", "mnt = loop(); truth = claim", None, ("nobody-seen", "unknown")),
    Kind(
        "device: open, not claimed",
        """
mnt = loop(); begin("f = os.open(sys.argv[1], 0)")
def truth():  # losetup -d says 0, and detaches when the last user closes it
    subprocess.run(["losetup", "-d", mnt])
    return errno.EBUSY if Path("/sys/block", Path(mnt).name, "loop/backing_file").exists() else 0
""",
        ("fd", "open"),
        ("open",),
    ),
    Kind(
        "device: open with O_EXCL",
        'mnt = loop(); truth = claim; begin("f = os.open(sys.argv[1], os.O_EXCL)")',
        ("fd", "open"),
        ("open", "claimed"),
    ),
    Kind(
        "device: open by another name",
        """
mnt = loop(); truth = claim; status = os.stat(mnt); other = work / "node"
os.mknod(other, 0o600 | 0o060000, status.st_rdev)
begin("f = os.open(sys.argv[1], os.O_EXCL); os.unlink(sys.argv[1])", arg=other)
""",
        ("fd", "open"),
        ("open", "claimed"),
    ),
    Kind(
        "device: swap",
        """
mnt = loop(); truth = claim; run("mkswap", mnt); run("swapon", mnt)
undo.append(lambda: subprocess.run(["swapoff", mnt], capture_output=True))
""",
        ("swap", "claim"),
        ("claimed",),
    ),
    Kind(
        "device: mounted",
        "mnt = loop(); truth = claim; onto(mnt)",
        ("mount", "superblock"),
        ("superblock",),
    ),
    Kind(
        "device: a partition of it mounted",
        """
disk = sparse("image", 64)
with disk.open("r+b") as file:
    entry = struct.pack("<8B2I", 0, 0, 0, 0, 0x83, 0, 0, 0, 2048, 100000)
    file.seek(446); file.write(entry + bytes(48) + b"\\x55\\xaa")
mnt = run("losetup", "-P", "-f", "--show", str(disk)); truth = claim
undo.append(lambda: subprocess.run(["losetup", "-d", mnt]))
part = Path(mnt + "p1")
if not Path("/sys/class/block", part.name).exists():  # no partition tables in this kernel
    run("addpart", mnt, "1", "2048", "100000")
if not part.exists():  # no devtmpfs in this container
    number = Path("/sys/class/block", part.name, "dev").read_text().split(":")
    part = work / part.name; os.mknod(part, 0o600 | 0o060000, os.makedev(*map(int, number)))
onto(str(part))
""",
        ("mount", "superblock"),
        ("superblock",),
    ),
    Kind(
        "device: mounted in a namespace that a file alone keeps",
        """
mnt = loop(); truth = claim; point = onto(mnt); homes = work / "homes"; homes.mkdir()
syscalls.mount("none", str(homes), "tmpfs"); (homes / "ns").touch()
syscalls.mount("none", str(homes), flags=syscalls.MS_PRIVATE)
for _ in range(5):  # its child mounts the file, and may be too late for that
    command = ["unshare", f"--mount={homes}/ns", "--propagation", "private", "true"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0: break
    time.sleep(0.2)
else: raise RuntimeError(f"no namespace is kept: {done.stderr.strip()}")
assert syscalls.timed_umount(os.fsencode(point), 0)[2] == 0
""",
        ("mount", "superblock"),
        ("superblock",),
    ),
    Kind(
        "device: unmounted with MNT_DETACH, a file open",
        """
mnt = loop(); truth = claim; point = onto(mnt); (point / "x").touch()
begin("f = open(sys.argv[1] + '/x')", arg=point); syscalls.timed_umount(os.fsencode(point), 2)
""",
        ("fd", "superblock"),
        ("superblock",),
    ),
    Kind(
        "device: second device of a btrfs",
        """
one, mnt = loop("1", 200), loop("2", 200); truth = claim; point = work / "fs"; point.mkdir()
run("mkfs.btrfs", "-q", "-f", "-d", "raid1", "-m", "raid1", one, mnt)
syscalls.mount(one, str(point), "btrfs")
""",
        ("mount", "superblock"),
        ("superblock",),
        ("mkfs.btrfs",),
    ),
    Kind(
        "device: of a btrfs, MNT_DETACH, a subvolume's file open",
        """
one, mnt = loop("1", 200), loop("2", 200); truth = claim; point = work / "fs"; point.mkdir()
run("mkfs.btrfs", "-q", "-f", "-d", "raid1", "-m", "raid1", one, mnt)
syscalls.mount(one, str(point), "btrfs")
run("btrfs", "-q", "subvolume", "create", str(point / "sub")); (point / "sub" / "x").touch()
begin("f = open(sys.argv[1] + '/sub/x')", arg=point)
syscalls.timed_umount(os.fsencode(point), 2)
""",
        ("fd", "superblock"),
        ("superblock", "claimed"),
        ("mkfs.btrfs",),
    ),
    Kind(
        "device: external journal of an ext4",
        """
mnt, disk = loop("journal"), loop("disk"); truth = claim; point = work / "fs"; point.mkdir()
run("mkfs.ext4", "-q", "-F", "-O", "journal_dev", "-b", "4096", mnt)
run("mkfs.ext4", "-q", "-F", "-b", "4096", "-J", f"device={mnt}", disk)
syscalls.mount(disk, str(point), "ext4")
""",
        ("mount", "claim"),
        ("claimed",),
    ),
    Kind(
        "device: log of an xfs",
        """
mnt, disk = loop("log", 100), loop("disk", 400); truth = claim
run("mkfs.xfs", "-q", "-f", "-l", f"logdev={mnt}", disk)
point = work / "fs"; point.mkdir(); syscalls.mount(disk, str(point), "xfs", data=f"logdev={mnt}")
""",
        ("mount", "claim"),
        ("claimed",),
        ("mkfs.xfs",),
    ),
    Kind(
        "device: device mapper",
        """
mnt = loop(); truth = claim; name = f"umt{os.getpid()}"; size = 64 << 11
run("dmsetup", "create", name, "--table", f"0 {size} linear {mnt} 0")
run("dmsetup", "mknodes", name)  # no udev in a guest of the lab
undo.append(lambda: subprocess.run(["dmsetup", "remove", name], capture_output=True))
""",
        ("device", "claim"),
        ("claimed",),
        ("dmsetup", "/sys/class/misc/device-mapper"),
    ),
    Kind(
        "device: device mapper, mounted",
        """
mnt = loop(); truth = claim; name = f"umt{os.getpid()}"; size = 64 << 11
run("dmsetup", "create", name, "--table", f"0 {size} linear {mnt} 0")
run("dmsetup", "mknodes", name)  # no udev in a guest of the lab
undo.append(lambda: subprocess.run(["dmsetup", "remove", name], capture_output=True))
onto(f"/dev/mapper/{name}")
""",
        ("mount", "superblock"),
        ("claimed",),
        ("dmsetup", "/sys/class/misc/device-mapper"),
    ),
    Kind(
        "device: md",
        """
mnt, other = loop("1"), loop("2"); truth = claim; node = f"/dev/md{os.getpid() % 900 + 100}"
run("mdadm", "--create", node, "--run", "--level=1", "--raid-devices=2", "--metadata=1.2", mnt,
    other)
undo.append(lambda: subprocess.run(["mdadm", "--stop", node], capture_output=True))
""",
        ("device", "claim"),
        ("claimed",),
        ("mdadm", "/proc/mdstat"),
    ),
    Kind(
        "device: zram, as swap",
        """
number = Path("/sys/class/zram-control/hot_add").read_text().strip(); truth = claim
mnt = f"/dev/zram{number}"
undo.append(lambda: Path("/sys/class/zram-control/hot_remove").write_text(number))
Path(f"/sys/block/zram{number}/disksize").write_text("8M"); run("mkswap", mnt); run("swapon", mnt)
undo.append(lambda: subprocess.run(["swapoff", mnt], capture_output=True))
""",
        ("swap", "claim"),
        ("claimed",),
        ("/sys/class/zram-control/hot_add",),
    ),
    Kind(
        "device: zram writes back to it",
        """
number = Path("/sys/class/zram-control/hot_add").read_text().strip(); mnt = loop(); truth = claim
zram = Path(f"/sys/block/zram{number}"); hot = Path("/sys/class/zram-control/hot_remove")
undo.append(lambda: zram.exists() and hot.write_text(number))
(zram / "backing_dev").write_text(mnt); (zram / "disksize").write_text("8M")
""",
        ("zram", "claim"),
        ("claimed",),
        ("/sys/class/zram-control/hot_add", "/sys/block/zram0/backing_dev"),
    ),
    Kind(
        "device: iSCSI target (LIO iblock)",
        """
mnt = loop(); truth = claim; target = Path(f"/sys/kernel/config/target/core/iblock_9/u{os.getpid()}")
target.mkdir(parents=True); undo.append(lambda: target.exists() and target.rmdir())
(target / "control").write_text(f"udev_path={mnt}"); (target / "udev_path").write_text(mnt)
(target / "enable").write_text("1")
""",
        ("target", "claim"),
        ("claimed",),
        ("/sys/kernel/config/target/core",),
    ),
)
