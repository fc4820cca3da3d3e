"""What a kernel consists of, as apt says."""

from __future__ import annotations

from lab import table
from lab.archive import Archive
from lab.versions import Package

IMAGE = Package(name="linux-image-6.18.15", version="6.18.15-1", suite="s")
DEPENDS = "Depends: kmod, linux-base-6.18.15 (= 6.18.15-1), linux-modules-6.18.15 (= 6.18.15-1)\n"
SERVED = " linux-modules-6.18.15 | 6.18.15-1 | http://m.example/debian s/main amd64 Packages\n"


class Saying(Archive):
    """Answers as apt-cache did for an older kernel beside the newest of its suite."""

    def _cache(self, *words):
        command, name = words
        if command == "show":
            return DEPENDS if name.startswith(IMAGE.name) else ""
        return SERVED if name == "linux-modules-6.18.15" else ""


def test_a_part_that_is_no_longer_served_is_left_out(tmp_path):
    parts = Saying(tmp_path, table.load()).parts(IMAGE)
    assert parts == [(IMAGE.name, IMAGE.version), ("linux-modules-6.18.15", "6.18.15-1")]
