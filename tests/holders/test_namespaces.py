"""Superblocks that live on in other mount namespaces: what lies there, and what frees them.

Each remedy is executed; then no mount of the superblock may be left anywhere.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.holders.spaces import ASK, only, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LOOPS = Path("/dev/loop-control")


def test_a_process_that_lives_among_a_copy(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
m = mount(room / "m", "m"); child = elsewhere(PRIVATE_COPY)
case("process", m, lambda: ended(child))
""",
        )
    )
    assert holder["kind"] == "mount"
    assert holder["comm"].startswith("python")
    assert holder["enter"] == ["-t", str(holder["pid"]), "-m"]
    assert holder["unmount"] == [holder["detail"]]


def test_what_lies_on_the_copy_comes_first(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
m = mount(room / "m", "m")
child = elsewhere(PRIVATE_COPY + f"s.mount('a', '{m}/d', 'tmpfs'); os.mkdir('{m}/d/b');"
    f"s.mount('b', '{m}/d/b', 'tmpfs'); s.mount('c', '{m}/e', 'tmpfs');"
    f"s.mount('o', '{m}', 'tmpfs')")
case("below", m, lambda: ended(child))
""",
        )
    )
    assert len(holder["unmount"]) == 5


def test_a_mount_above_that_hides_the_copy(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
top = mount(room / "top", "top"); m = mount(top / "d" / "m", "m")
child = elsewhere(PRIVATE_COPY + f"s.mount('a', '{top}', 'tmpfs')")
case("hidden", m, lambda: ended(child))
""",
        )
    )
    assert holder["unmount"] == [holder["detail"].removesuffix("/d/m"), holder["detail"]]


def test_many_mounts_on_the_copy(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
m = mount(room / "m", "m")
child = elsewhere(PRIVATE_COPY + f'''
for number in range(40):
    os.mkdir(f"{m}/{{number}}"); s.mount("a", f"{m}/{{number}}", "tmpfs")
''')
case("many", m, lambda: ended(child))
""",
        )
    )
    assert holder["unmount"] == ["-R", holder["detail"]]


def test_an_overlay_that_leaked_into_another_namespace(tmp_path):
    ((_, holders, failed, left),) = run(
        tmp_path,
        ASK
        + """
m = mount(room / "m", "m")
for name in "luwo": (m / name).mkdir()
layers = f"lowerdir={m}/l,upperdir={m}/u,workdir={m}/w"
syscalls.mount("o", str(m / "o"), "overlay", data=layers)
child = elsewhere(PRIVATE_COPY); syscalls.timed_umount(os.fsencode(m / "o"), 0)
answer = ask(m)
overlays = [h for h in answer.holders if h.kind == "overlay"]
failed = free(answer) if not overlays else [
    c for c in [remedy(overlays[0]).command] if subprocess.run(c, shell=True).returncode]
syscalls.mount("o", str(m / "o"), "overlay", data="index=on," + layers)
syscalls.timed_umount(os.fsencode(m / "o"), 0)
out.append(["overlay", [h.to_dict() for h in overlays], failed, False])
ended(child)
""",
    )
    (holder,) = holders
    assert failed == []
    assert not left
    for role in ("lower", "upper", "work"):
        assert f"{role} layer {tmp_path}/m/" in holder["detail"]
    assert holder["enter"] == ["-t", str(holder["pid"]), "-m"]


def test_mounts_that_came_with_a_user_namespace_are_locked(tmp_path):
    found = run(
        tmp_path,
        """
m = mount(room / "m", "m")
hold = "unshare -U -r -m --propagation private sh -c 'sleep 1000 & echo; exec sleep 1000'"
child = subprocess.Popen(hold, shell=True, stdout=subprocess.PIPE); child.stdout.readline()
answer = ask(m)
(holder,) = [h for h in answer.holders if h.of == "superblock"]
assert subprocess.run(["nsenter", "-t", str(holder.pid), "-m", "umount", m]).returncode
command = remedy(holder).command
assert subprocess.run(command, shell=True).returncode == 0
child.wait(); assert umount(m) == 0
for _ in range(50):
    if not (left := alive(answer.dev)): break
    time.sleep(0.1)
out.append([command, holder.pid, left])
""",
    )
    ((command, pid, left),) = found
    assert command.startswith(f"kill {pid} ")
    assert len(command.split()) == 3
    assert not left


def test_zombies_hold_nothing_and_hide_nothing(tmp_path):
    found = run(
        tmp_path,
        """
m = mount(room / "m", "m")
before = ask(m)
zombies = [subprocess.Popen("true") for _ in range(12)]
for z in zombies: os.waitid(os.P_PID, z.pid, os.WEXITED | os.WNOWAIT)
after = ask(m)
out.append([sorted(set(after.unread) - set(before.unread)), [z.pid for z in zombies]])
""",
    )
    ((unread, zombies),) = found
    assert not set(unread) & set(zombies)


@pytest.mark.skipif(not LOOPS.exists(), reason="no loop devices here: modprobe loop")
def test_a_loop_device_on_a_copy_that_is_in_no_namespace_any_more(tmp_path):
    found = run(
        tmp_path,
        """
def say(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
disk, m = room / "disk", room / "m"; m.mkdir()
with disk.open("wb") as file: file.truncate(8 << 20)
device = say("losetup", "-f", "--show", disk)
try:
    say("mkfs.ext4", "-q", device); say("mount", device, m)
    with (m / "img").open("wb") as file: file.truncate(1 << 20)
    child = elsewhere(f"s.make_private(); os.system('losetup -f --show {m}/img > {room}/dev')")
    inner = (room / "dev").read_text().strip()
    during = ask(m).state
    assert umount(m) == 0
    ended(child)
    answer = ask(device)
    (holder,) = [h for h in answer.holders if h.of == "superblock"]
    out.append([during, answer.state, holder.kind, holder.comm, inner])
    assert subprocess.run(remedy(holder).command, shell=True).returncode == 0
    for _ in range(100):
        try: os.close(os.open(device, os.O_RDONLY | os.O_EXCL)); break
        except OSError: time.sleep(0.05)
    out.append(ask(device).state)
finally:
    subprocess.run(["losetup", "-d", device])
""",
    )
    (during, state, kind, comm, inner), after = found
    assert during != "held"
    assert (state, kind, comm) == ("superblock", "loop", inner)
    assert after in {"nobody-seen", "unknown"}  # the latter for what others do meanwhile


def test_the_upper_directory_of_an_overlay_that_leaked(tmp_path):
    found = run(
        tmp_path,
        """
m = mount(room / "m", "m")
for name in "luwo": (m / name).mkdir()
layers = f"lowerdir={m}/l,upperdir={m}/u,workdir={m}/w"
syscalls.mount("o", str(m / "o"), "overlay", data=layers)
child = elsewhere("s.make_private()"); umount(m / "o")
for path in (m / "u", m / "l", m / "d", m / "o"):
    answer = ask(path)
    out.append([path.name, [(h.kind, h.pid == child.pid, h.detail) for h in answer.holders]])
(holder,) = ask(m / "u").holders
assert subprocess.run(remedy(holder).command, shell=True).returncode == 0
out.append(len(ask(m / "u").holders))
ended(child)
""",
    )
    upper, lower, other, point, left = found
    for (name, holders), role in ((upper, "upper"), (lower, "lower")):
        assert holders == [["overlay", True, f"{role} layer {tmp_path}/m/{name} of {tmp_path}/m/o"]]
    assert other[1] == []
    assert point[1] == [["mount", True, f"{tmp_path}/m/o"]]
    assert left == 0


def test_a_namespace_without_an_umount_program(tmp_path):
    holder = only(
        run(
            tmp_path,
            ASK
            + """
m = mount(room / "m", "m")
child = elsewhere(PRIVATE_COPY + '''
for place in ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin"):
    if os.path.isdir(place) and not os.path.islink(place): s.mount("empty", place, "tmpfs")
''')
case("bare", m, lambda: ended(child))
""",
        )
    )
    assert "enter" not in holder
    assert holder["unmount"] == ["-N", str(holder["pid"]), f"{tmp_path}/m"]


def test_a_directory_by_its_file_system_and_not_by_its_path(tmp_path):
    found = run(
        tmp_path,
        """
m = mount(room / "m", "m"); other = mount(room / "other", "other")
same = elsewhere(f"s.make_private(); s.mount('{m}', '{other}', flags=4096);"
    f"s.mount('here', '{other}/d', 'tmpfs')")
alike = elsewhere(f"s.make_private(); s.mount('there', '{m}', 'tmpfs'); os.mkdir('{m}/d');"
    f"s.mount('far', '{m}/d', 'tmpfs')")
out += [[[h.kind, h.pid == same.pid, h.detail] for h in ask(m / name).holders] for name in "de"]
ended(same); ended(alike)
""",
    )
    assert found == [[["mount", True, f"{tmp_path}/other/d"]], []]
