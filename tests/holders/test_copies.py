"""Which copies of a mount make its umount fail: what `why` says, beside what the kernel does."""

from __future__ import annotations

import errno
import os

import pytest

from tests.holders.spaces import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

ON_THE_COPY = {
    "nothing": "",
    "fd": "f = open(m + '/x')",
    "cwd": "os.chdir(m)",
    "child": "s.mount('c', m + '/d', 'tmpfs')",
    "fd-child": "f = open(m + '/x'); s.mount('c', m + '/d', 'tmpfs')",
    "cover": "s.mount('c', m, 'tmpfs')",
    "fd-cover": "f = open(m + '/x'); s.mount('c', m, 'tmpfs')",
    "fd-on-cover": "s.mount('c', m, 'tmpfs'); f = open(m + '/y', 'w')",
    "fd-two-covers": "f = open(m + '/x'); s.mount('c', m, 'tmpfs'); s.mount('b', m, 'tmpfs')",
    "fd-child-cover": "f = open(m + '/x'); s.mount('b', m + '/d', 'tmpfs'); "
    "s.mount('c', m, 'tmpfs')",
    "another": "os.system('umount ' + m); s.mount('o', m, 'tmpfs')",
    "fd-another": "os.system('umount ' + m); s.mount('o', m, 'tmpfs'); f = open(m + '/z', 'w')",
    "fd-bind-elsewhere": "s.mount(m, top + '/e', flags=4096); f = open(top + '/e/x')",
    "fd-detached": "f = open(m + '/x'); os.system('umount -l ' + m)",
}
MATRIX = """
for propagation in ("SHARED", "SLAVE", "PRIVATE", "SLAVE_OF_SLAVE"):
    for name, code in CASES.items():
        top = mount(room / "top", "top", SHARED); m = mount(top / "m", "m")
        flags = {"SHARED": SHARED, "PRIVATE": PRIVATE}.get(propagation, SLAVE)
        place = f"top = {str(top)!r}; m = top + '/m'; s.mount('none', top, flags={flags})\\n"
        between = None
        if propagation == "SLAVE_OF_SLAVE":
            between = elsewhere(place + f"s.mount('none', top, flags={SHARED})")
            enter = f"s.enter_mounts(os.open('/proc/{between.pid}/ns/mnt', os.O_RDONLY))\\n"
            place = enter + "s.unshare_mounts()\\n" + place
        place += f"s.mount('none', m, flags={PRIVATE})\\n"
        child = elsewhere(place + code)
        answer = ask(m)
        out.append([propagation, name, answer.state, umount(m) == errno.EBUSY])
        ended(child)
        if between: ended(between)
        os.system(f"umount -l {m} 2>/dev/null; umount -l {top}")
"""


def test_held_is_what_umount_finds_busy(tmp_path):
    found = run(tmp_path, f"CASES = {ON_THE_COPY!r}\n" + MATRIX)
    assert len(found) == 4 * len(ON_THE_COPY)
    wrong = [row for row in found if (row[2] == "held") != row[3]]
    assert not wrong
    busy = {(row[0], row[1]) for row in found if row[3]}
    assert ("SLAVE_OF_SLAVE", "fd") in busy
    assert ("SLAVE", "fd-child") not in busy


def test_a_copy_outside_of_our_root_directory(tmp_path):
    (state, holders, number) = run(
        tmp_path,
        """
jail = room / "jail"; jail.mkdir()
syscalls.mount("/", str(jail), flags=0x1000 | 0x4000)  # with all mounts below
top = mount(room / "top", "top", SHARED)
inside = Path(f"{jail}{top}"); inside.mkdir(parents=True, exist_ok=True)
syscalls.mount(str(top), str(inside), flags=0x1000)
m = mount(top / "m", "m")
child = elsewhere(f"f = open('{m}/x')", begin="")
os.chroot(jail); os.chdir("/")
answer = ask(m)
out += [answer.state, [[h.kind, h.of, h.pid == child.pid] for h in answer.holders], umount(m)]
ended(child)
""",
    )
    assert (state, number) == ("held", errno.EBUSY)
    assert ["fd", "copy", True] in holders
