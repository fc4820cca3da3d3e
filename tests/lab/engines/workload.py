"""Run inside a guest: record containers that come and go, and write down which were there.

``python -m tests.lab.engines.workload ENGINE COUNT OUT [record options]``
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.lab.engines.engine import ENGINES, run, wait_for

PAUSE_S = 1.0
#: where engines keep layers, which an overlay cannot lie on
STORAGE = ("containers", "docker", "containerd", "lxc", "machines")


def main(name, count, out, options):
    """Write OUT/truth.json and OUT/r.umt."""
    out.mkdir(parents=True, exist_ok=True)
    for folder in STORAGE:
        _storage(Path("/var/lib", folder))
    kind, *settings = ENGINES[name]
    engine = kind(Path(tempfile.mkdtemp(prefix="engine-")), *settings)
    engine.begin()
    containers, made, removed = [], [], []
    recorder = _record(out, options)
    try:
        for number in range(count):
            made.append(time.time_ns())
            container = engine.make(f"box-{number}")
            containers.append(container.look())
        for container in containers:
            engine.remove(container.name)
            removed.append(time.time_ns())
        time.sleep(PAUSE_S)
    finally:
        recorder.terminate()
        recorder.wait(120)
        engine.end()
        shutil.rmtree(engine.work, ignore_errors=True)
    told = [
        {**asdict(container), "lived": times}
        for container, *times in zip(containers, made, removed, strict=True)
    ]
    (out / "truth.json").write_text(json.dumps({"engine": name, "containers": told}))


def _storage(folder):
    folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_mount():
        run("mount", "-t", "tmpfs", "tmpfs", folder)


def _record(out, options):
    recording = out / "r.umt"
    log = (out / "record.log").open("w")
    command = ["umtrace", "record", "-f", "-o", recording, *options]
    recorder = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ})
    said = out / "record.log"

    def recording_now():
        if recorder.poll() is not None:
            raise AssertionError(said.read_text())
        return "recording" in said.read_text()

    wait_for(recording_now, "umtrace record")
    return recorder


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
