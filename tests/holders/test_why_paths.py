"""`umtrace why` of paths that are no mount points: it answers about them, not about their mount."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from umtrace.exercise.loopback import loop_device

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.usefixtures("alone"),
]


def why(path, *options, **more):
    command = [sys.executable, "-m", "umtrace", "why", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.stdout, done.stderr
    return done


def asked(path):
    return json.loads(why(path, "--json").stdout)


def test_a_directory_that_nobody_uses(tmp_path):
    done = why(tmp_path)
    assert done.returncode in {13, 14}
    assert "not a mount point" in done.stdout
    assert len(done.stdout.splitlines()) <= 20
    answer = asked(tmp_path)
    assert (answer["subject"], answer["holders"]) == ("path", [])


def test_what_is_open_below_a_directory_and_beside_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    with (tmp_path / "ab" / "x").open("w"):
        assert asked(tmp_path / "a")["holders"] == []
        answer = asked(tmp_path / "ab")
    assert answer["state"] == "held"
    assert {h["pid"] for h in answer["holders"]} == {os.getpid()}
    assert "umount" not in "".join(h["remedy"] for h in answer["holders"])


COPY = """
import json, subprocess, sys, time
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
mnt, here = sys.argv[1:]; syscalls.mount("none", mnt, "tmpfs")
code = "import os, subprocess, sys; from umtrace.exercise import syscalls as s;"\\
       "s.unshare_mounts(); user = subprocess.Popen(['sleep', '60'], cwd=sys.argv[1]);"\\
       "print(user.pid, flush=True); input(); user.kill()"
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child = subprocess.Popen([sys.executable, "-c", code, mnt], cwd="/", **pipes)
user = int(child.stdout.readline())
if here == "unmounted": syscalls.timed_umount(mnt.encode(), 0)
command = [sys.executable, "-m", "umtrace", "why", mnt]
done = subprocess.run(command, capture_output=True, text=True)
enter = ["nsenter", "-t", str(child.pid), "-m"]
busy = subprocess.run([*enter, "umount", mnt]).returncode
subprocess.run(["kill", str(user)])
for _ in range(50):
    if (late := subprocess.run([*enter, "umount", mnt]).returncode) == 0: break
    time.sleep(0.1)
print(json.dumps([child.pid, user, done.stdout, done.returncode, busy, late]))
child.communicate(b"x")
"""


@pytest.mark.parametrize("here", ["mounted", "unmounted"])
def test_a_copy_elsewhere_is_named_with_its_user(tmp_path, here):
    command = [sys.executable, "-c", COPY, str(tmp_path), here]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    keeper, user, said, status, busy, late = json.loads(done.stdout)
    assert (busy, late) == (32, 0)  # it is its user that makes the umount fail
    first = said.index(f"kill {user}\n")
    then = f"then, if it is still mounted: nsenter -t {keeper} -m umount {tmp_path}"
    assert first < said.index(then)
    if here == "unmounted":
        assert status == 12
        verdict = " ".join(said.split("\n\n")[0].splitlines()[1:])
        assert verdict.startswith("Not mounted here; still mounted in mount namespace ")
        assert f"(pid {keeper})" in verdict
        assert "Next" not in said


def test_a_mount_point_that_was_unmounted_here_and_not_in_another_namespace(tmp_path):
    script = """
import subprocess, sys
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
syscalls.mount("none", sys.argv[1], "tmpfs")
code = "from umtrace.exercise import syscalls as s; s.unshare_mounts(); print(1, flush=True);"\
       " input()"
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child = subprocess.Popen([sys.executable, "-c", code], **pipes); child.stdout.readline()
syscalls.timed_umount(sys.argv[1].encode(), 0)
command = [sys.executable, "-m", "umtrace", "why", "--json", sys.argv[1]]
sys.stdout.write(subprocess.run(command, capture_output=True, text=True).stdout); child.kill()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    answer = json.loads(done.stdout)
    assert (answer["subject"], answer["state"]) in {("path", "superblock")}
    (holder,) = answer["holders"]
    assert (holder["kind"], holder["detail"]) == ("mount", str(tmp_path))


def test_a_file_behind_a_loop_device(tmp_path):
    if not os.path.exists("/dev/loop-control"):  # noqa: PTH110
        pytest.skip("no loop devices here: modprobe loop")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    with loop_device(image) as device:
        answer = asked(image)
    # The same superblock is mounted in other namespaces, under the same names.
    assert answer["state"] == "held"
    assert ("loop", "mount", str(device)) in {
        (h["kind"], h["of"], h.get("comm")) for h in answer["holders"]
    }


def test_every_spelling_of_a_device(tmp_path):
    if not os.path.exists("/dev/loop-control"):  # noqa: PTH110
        pytest.skip("no loop devices here: modprobe loop")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    with loop_device(image) as device, device.open("rb") as held:
        (tmp_path / "by-name").symlink_to(device)
        number = os.fstat(held.fileno()).st_rdev
        os.mknod(tmp_path / "node", 0o60600, number)
        for path in (device, tmp_path / "by-name", tmp_path / "node"):
            answer = asked(path)
            assert (answer["subject"], answer["state"]) == ("device", "open")
            assert answer["dev"] == f"{os.major(number)}:{os.minor(number)}"
            assert os.getpid() in {h.get("pid") for h in answer["holders"]}
        done = why("by-name", "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["subject"] == "device"


def test_links_of_proc_lead_to_a_mount_not_to_a_name(tmp_path):
    script = """
import os, subprocess, sys
from umtrace.exercise import syscalls
syscalls.unshare_mounts(); syscalls.make_private()
mnt = sys.argv[1]; syscalls.mount("none", mnt, "tmpfs")
code = "import os, sys; from umtrace.exercise import syscalls as s; s.unshare_mounts();"\\
       "os.chdir(sys.argv[1]); s.mount('none', sys.argv[1], 'tmpfs'); print(1, flush=True); input()"
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child = subprocess.Popen([sys.executable, "-c", code, mnt], **pipes); child.stdout.readline()
os.chdir(mnt)
def why(path):
    command = [sys.executable, "-m", "umtrace", "why", path]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.returncode, (done.stdout + done.stderr).splitlines()[0])
for path in (f"{child.pid}/root{mnt}", f"{child.pid}/cwd", "self/cwd", "self/ns/mnt"):
    why(f"/proc/{path}")
syscalls.mount("none", mnt, "tmpfs"); why(f"/proc/{os.getpid()}/cwd"); child.kill()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    root, cwd, own, namespace, covered = done.stdout.splitlines()
    for line in (root, cwd):
        assert line.startswith("2 umtrace: /proc/")
        assert "not in this mount namespace" in line
    assert own.startswith(f"11 {tmp_path}: tmpfs")
    assert namespace == "2 umtrace: /proc/self/ns/mnt: no such file or directory"
    assert covered.startswith("2 umtrace: /proc/")
    assert "covered by another" in covered


def test_a_loop_device_on_another_one_has_it_open(tmp_path):
    if not os.path.exists("/dev/loop-control"):  # noqa: PTH110
        pytest.skip("no loop devices here: modprobe loop")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(1 << 20)
    with loop_device(image) as device, loop_device(device) as above:
        answer = asked(device)
        assert answer["state"] == "open"
        (loop,) = [h for h in answer["holders"] if h["kind"] == "loop"]
        assert (loop["of"], loop["comm"]) == ("open", str(above))
        on_its_file = {(h["kind"], h["of"], h.get("comm")) for h in asked(image)["holders"]}
        assert {("loop", "mount", str(device)), ("loop", "open", str(above))} <= on_its_file


@pytest.mark.parametrize(
    ("hide", "missing"),
    [("umount -l /sys", "/sys"), ("mount -t proc -o subset=pid none /proc", "subset=pid")],
)
def test_what_cannot_be_looked_at_for_want_of_a_mount_is_said(tmp_path, hide, missing):
    script = f"{hide} && exec {sys.executable} -m umtrace why --json {tmp_path}"
    command = ["unshare", "-m", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout)
    assert answer["state"] == "unknown"
    assert any(missing in what for what in answer["blind"])
