"""The files of each runtime, and what a hostile one is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.owners.test_cgroup_paths import ID, OTHER, UID
from umtrace.runtimes.files import HostFiles
from umtrace.runtimes.names import Names

TASK = "run/containerd/io.containerd.runtime.v2.task"
STORE = "var/lib/containers/storage/overlay-containers"


@pytest.fixture
def host(tmp_path):
    """A root directory, and a function that puts a file into it."""

    def put(path, content):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    put.root = tmp_path
    put.names = Names(HostFiles(str(tmp_path)))
    return put


def said(found):
    return [(f.name, f.pod, f.pod_uid, f.image, f.runtime, f.layer) for f in found]


def test_docker(host):
    config = {"Name": "/web", "Config": {"Image": "nginx:1", "Labels": {}}}
    host(f"var/lib/docker/containers/{ID}/config.v2.json", config)
    host(f"var/lib/docker/image/overlay2/layerdb/mounts/{ID}/mount-id", OTHER)
    assert said(host.names.of_container(ID, "docker")) == [
        ("web", None, None, "nginx:1", "docker", None),
        (None, None, None, None, "docker", OTHER),
    ]


def test_a_layer_of_docker_before_its_container_runs(host):
    assert host.names.of_layer(OTHER) is None
    host(f"var/lib/docker/image/overlay2/layerdb/mounts/{ID}/init-id", "no file that counts")
    assert host.names.of_layer(OTHER) is None
    host(f"var/lib/docker/image/overlay2/layerdb/mounts/{ID}/mount-id", OTHER)
    assert host.names.of_layer(OTHER).container == ID


def test_the_network_of_docker_is_written_down_later(host):
    config = {"Name": "/web", "Config": {}, "NetworkSettings": {"SandboxKey": ""}}
    file = host(f"var/lib/docker/containers/{ID}/config.v2.json", config)
    assert not host.names.awaits_network(ID)  # nobody has asked for the container yet
    host.names.of_container(ID, "docker")
    assert host.names.awaits_network(ID)
    assert host.names.of_layer("netns/41ffb1481a5b") is None
    config["NetworkSettings"]["SandboxKey"] = "/var/run/docker/netns/41ffb1481a5b"
    file.write_text(json.dumps(config))
    assert host.names.of_layer("netns/41ffb1481a5b").container == ID
    assert not host.names.awaits_network(ID)
    file.unlink()
    assert host.names.of_layer("netns/41ffb1481a5b").container == ID


def test_containerd_of_kubernetes(host):
    notes = {
        "sandbox-namespace": "shop", "sandbox-name": "cart-0", "sandbox-uid": UID,
        "container-name": "app", "image-name": "cart:2",
    }  # fmt: skip
    annotations = {f"io.kubernetes.cri.{name}": value for name, value in notes.items()}
    host(f"{TASK}/k8s.io/{ID}/config.json", {"annotations": annotations})
    for runtime in ("containerd", None):
        assert said(host.names.of_container(ID, runtime)) == [
            ("app", "shop/cart-0", UID, "cart:2", "containerd", None)
        ]


def test_crio(host):
    notes = {
        "io.kubernetes.pod.name": "cart-0", "io.kubernetes.pod.namespace": "shop",
        "io.kubernetes.pod.uid": UID, "io.kubernetes.container.name": "app",
        "io.kubernetes.cri-o.ImageName": "cart:2",
    }  # fmt: skip
    host(f"{STORE}/{ID}/userdata/config.json", {"annotations": notes})
    assert said(host.names.of_container(ID, "cri-o")) == [
        ("app", "shop/cart-0", UID, "cart:2", "cri-o", None)
    ]


@pytest.mark.parametrize("name", ["containers.json", "volatile-containers.json"])
def test_podman(host, name):
    one = {"id": ID, "names": ["web"], "layer": OTHER, "metadata": '{"image-name": "nginx"}'}
    host(f"{STORE}/{name}", [one, {"id": 7}, None])
    assert said(host.names.of_container(ID, "podman")) == [
        ("web", None, None, "nginx", None, None),
        (None, None, None, None, None, OTHER),
    ]
    assert host.names.of_layer(OTHER).container == ID
    host(f"{STORE}/{name}", [])
    assert host.names.of_layer(OTHER) is None


def test_the_name_of_a_pod_is_in_the_directory_of_its_logs(host):
    (host.root / f"var/log/pods/shop_cart-0_{UID}").mkdir(parents=True)
    assert host.names.of_pod(UID).pod == "shop/cart-0"
    assert host.names.of_pod(UID[:-1]) is None


def test_a_file_that_names_the_cgroup_confirms_it(host):
    host(f"{TASK}/default/redis/config.json", {"linux": {"cgroupsPath": "/default/redis"}})
    host("run/crun/web/status", {"cgroup-path": "/web"})
    host("run/runc/db/state.json", {"cgroup_paths": {"": "/sys/fs/cgroup/db"}})
    host("run/crun/liar/status", {"cgroup-path": "/web"})
    assert host.names.of_cgroup("/default/redis") == ("redis", "containerd")
    assert host.names.of_cgroup("/web") == ("web", "crun")
    assert host.names.of_cgroup("/db") == ("db", "runc")
    for path in ("/liar", "/default/other", "/", "/../web", "/a/b/c"):
        assert host.names.of_cgroup(path) is None


@pytest.mark.parametrize("odd", ["{", "[" * 100_000, "7", '{"Name": 5, "Config": []}', "\xff", ""])
def test_odd_content_names_nobody(host, odd):
    host(f"var/lib/docker/containers/{ID}/config.v2.json", odd)
    host(f"{STORE}/containers.json", odd)
    assert not [fact.name for fact in host.names.of_container(ID, "docker") if fact.name]
    assert host.names.of_layer(OTHER) is None


def test_links_pipes_and_large_files_are_not_read(host):
    real = host("elsewhere/config.v2.json", {"Name": "/web"})
    link = host.root / f"var/lib/docker/containers/{ID}"
    link.parent.mkdir(parents=True)
    link.symlink_to(real.parent)
    assert host.names.of_container(ID, "docker") == []
    link.unlink()
    link.mkdir()
    (link / "config.v2.json").symlink_to(real)
    assert host.names.of_container(ID, "docker") == []
    (link / "config.v2.json").unlink()
    os.mkfifo(link / "config.v2.json")
    assert host.names.of_container(ID, "docker") == []
    (link / "config.v2.json").unlink()
    (link / "config.v2.json").write_text('{"Name": "/' + "x" * (5 << 20) + '"}')
    assert host.names.of_container(ID, "docker") == []


@pytest.mark.parametrize("odd", ["..", ".", "a/b", "x" * 200, ""])
def test_an_id_is_no_path(host, odd):
    assert host.names.of_container(odd, None) == []


def test_no_descriptor_stays_open(host):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        host.names.of_container(ID, None)
        host.names.of_pod(UID)
        host.names.of_cgroup("/default/redis")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
