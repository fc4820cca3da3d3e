"""A root file system with a shell and `sleep`, and images of it, made without a registry."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

PROGRAMS = ("/bin/sh", "/bin/sleep", "/bin/true")
FOLDERS = ("b", "dev", "etc", "proc", "run", "sys", "t", "tmp", "usr", "v", "var")


def make_rootfs(root):
    """Copy the programs and what they are linked with from this system."""
    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        _copy(program, root)
        listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True)
        for library in re.findall(r"(/\S+) \(0x", listed.stdout):
            _copy(library, root)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/:/bin/sh\n")
    (root / "etc" / "os-release").write_text("ID=test\n")
    return root


def _copy(path, root):
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(path, target)  # what a symlink leads to


def make_layer(root, folder):
    """Return a tar of the root file system."""
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        archive.add(root, ".")
    return layer


def make_image(layer, folder, name):
    """Return an archive that `docker load` and `ctr image import` take."""
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "1000"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    image = folder / "image.tar"
    with tarfile.open(image, "w") as archive:
        for file, content in (("config.json", config), ("manifest.json", manifest)):
            path = folder / file
            path.write_text(json.dumps(content))
            archive.add(path, file)
        archive.add(layer, "layer.tar")
    return image


def oci_config(root, name, bind):
    """Return config.json of a bundle, as an engine without daemon gives it to crun and runc."""
    kinds = ("pid", "ipc", "uts", "mount", "network")
    mounts = [
        ("proc", "/proc", "proc", []),
        ("tmpfs", "/dev", "tmpfs", ["nosuid", "mode=755"]),
        ("tmpfs", "/t", "tmpfs", ["nosuid"]),
        (str(bind), "/b", "bind", ["rbind", "rw"]),
    ]
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/sleep", "1000"],
            "env": ["PATH=/bin"],
            "cwd": "/",
        },
        "root": {"path": str(root)},
        "hostname": name,
        "mounts": [
            {"source": source, "destination": target, "type": kind, "options": options}
            for source, target, kind, options in mounts
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
        },
    }


def write_bundle(folder, root, name, bind):
    """Make a bundle with a root file system of its own."""
    bundle = folder / name
    bundle.mkdir(parents=True)
    shutil.copytree(root, bundle / "rootfs", symlinks=True)
    config = oci_config(bundle / "rootfs", name, bind)
    (bundle / "config.json").write_text(json.dumps(config))
    return Path(bundle)
