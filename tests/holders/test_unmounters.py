"""Who asks to unmount: a holder only while its own walk hangs in the mount, as others then see."""

from __future__ import annotations

import os
import textwrap

import pytest

from tests.holders.test_asker import END, FUSE
from tests.holders.test_unshown import SILENT, asked, found, needs_fuse

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.usefixtures("alone"),
]

ASKS = """
walker = subprocess.Popen(["umount", str(point / "y")], stderr=subprocess.DEVNULL)
server.stdout.readline()
"""
CALLS = """
code = "import os, sys; from umtrace.exercise import syscalls;" \\
       " syscalls.timed_umount(os.fsencode(sys.argv[1]), 0)"
walker = subprocess.Popen([sys.executable, "-c", code, str(point / "y")])
server.stdout.readline()
"""


@needs_fuse
@pytest.mark.parametrize(
    ("script", "remark"), [(ASKS, " before its umount"), (CALLS, " in its umount")]
)
def test_an_umount_that_hangs_in_its_walk_keeps_the_mount_busy_for_others(tmp_path, script, remark):
    answer = asked(tmp_path, SILENT + textwrap.dedent(script))
    holder = found(answer, "walk")
    assert (answer["state"], holder["of"]) == ("held", "mount")
    assert holder["detail"].endswith(f"/fuse/y{remark}")
    assert holder["command"].endswith("/abort")


#: asks for one path after the other, each of which the server answers late
GOES_ON = (
    """
point, server = serve("LOOKUP=0.02"); mnt = point
user = begin("import os, sys; os.chdir(sys.argv[1])")
code = """
    + repr(
        "import itertools, os, sys\n"
        "open('/proc/self/comm', 'w').write(sys.argv[2])\n"
        "for n in itertools.count(): os.path.exists(sys.argv[1] + f'/{n}')"
    )
    + """
walker = subprocess.Popen([sys.executable, "-c", code, str(point), name])
wait_for(lambda: Path(f"/proc/{walker.pid}/comm").read_text().strip() == name)
import atexit
atexit.register(lambda: (walker.kill(), walker.wait()))
"""
)


def walkers(path, name):
    """Return the holders of a mount in which a task of this name always walks some path."""
    path.mkdir()
    answer = asked(path, FUSE + f"name = {name!r}\n" + GOES_ON + END, act=False)
    assert found(answer, "cwd")
    return [holder for holder in answer["holders"] if holder["kind"] == "walk"]


@needs_fuse
def test_an_umount_that_asks_for_its_path_and_goes_on_holds_nothing(tmp_path):
    # That it is seen in a walk at all is shown by the same task under another name. On a loaded
    # host it may be missed in the moment of a look.
    seen = any(walkers(tmp_path / f"other{number}", "asks") for number in range(5))
    assert seen
    for number in range(2):
        assert walkers(tmp_path / f"{number}", "umount") == []
