"""The names of a container, from the files of its runtime, by no daemon."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from umtrace.owners import facts
from umtrace.owners.facts import Fact
from umtrace.owners.knowledge import Known
from umtrace.runtimes.files import HostFiles

_ID = re.compile(r"[0-9a-zA-Z_.-]{1,128}", re.ASCII)
_NETWORK = re.compile(r"/(?:var/)?run/docker/(netns/[0-9a-f]{12})", re.ASCII)
_LONG = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DOCKER = "/var/lib/docker"
_NETNS = "netns/"
_AGAIN_S = 0.2
_STARTS_WITHIN_S = 10.0
_MOST_STARTING = 64  # containers of docker, started lately, whose files are read again
_LAYERS = f"{_DOCKER}/image/overlay2/layerdb/mounts"
_TASKS = (
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/docker/containerd/daemon/io.containerd.runtime.v2.task",
)
_STORES = ("/var/lib/containers/storage", "/run/containers/storage")
_STORE = "/var/lib/containers/storage/overlay-containers"
_LISTS = (f"{_STORE}/containers.json", f"{_STORE}/volatile-containers.json")
_SMALL = 4 << 20  # bytes of the configuration of one container
_LONGEST = 256
_POD = "io.kubernetes.pod"


class Names:
    """Reads who a container is; what is not there is not known."""

    def __init__(self, files: HostFiles) -> None:
        self._files = files
        self._listed: dict[str, Fact] = {}
        self._layers: dict[str, Fact] = {}
        self._changed: dict[str, object] = {}
        self._networks: Known[str, Fact] = Known()
        #: containers of docker: since when the network is looked for, and when it was last
        self._no_network: Known[str, tuple[float, float]] = Known()
        self._changed_docker: object = None
        self._of_docker: dict[str, Fact] = {}  #: by container: its layer

    def of_container(self, container: str, runtime: str | None) -> list[Fact]:
        """Return the facts about a container; empty if no file is there."""
        if not _ID.fullmatch(container) or container in {".", ".."}:
            return []
        if runtime in {"lxc", "nspawn", "incus", "lxd", "garden", "buildkit"}:
            return []
        is_long = bool(_LONG.fullmatch(container))
        if is_long and runtime in {None, "docker"} and (found := list(self._docker(container))):
            return found
        if is_long and runtime in {None, "podman", "cri-o"}:
            found = list(self._stored(container))
            if found:
                return found
        if runtime in {None, "containerd", "nerdctl"}:
            for namespace in ("k8s.io", "default"):
                if found := self.of_task(namespace, container):
                    return found
        return []

    def of_task(self, namespace: str, container: str) -> list[Fact]:
        """Return the facts about a container of containerd."""
        for tasks in _TASKS:
            config = self._files.json(f"{tasks}/{namespace}/{container}/config.json", _SMALL)
            if isinstance(config, dict):
                notes = _mapping(config.get("annotations"))
                return [_of_cri(container, notes)]
        return []

    def of_layer(self, layer: str) -> Fact | None:
        """Return whose layer it is, of containers storage or of docker, or whose network."""
        if layer.startswith(_NETNS):
            for container in list(self._no_network)[-_MOST_STARTING:]:
                self._read_network(container)
            return self._networks.get(layer)
        self._read_lists()
        return self._layers.get(layer) or self._docker_layer(layer)

    def awaits_network(self, container: str) -> bool:
        """Whether docker is about to write down the network of a container; looks now and then."""
        if container not in self._no_network:
            return False
        since, looked = self._no_network[container]
        now = time.monotonic()
        if now - looked > _AGAIN_S:
            self._no_network[container] = since, now
            self._read_network(container)
        return container in self._no_network and now - since < _STARTS_WITHIN_S

    def _read_network(self, container: str) -> None:
        config = self._files.json(f"{_DOCKER}/containers/{container}/config.v2.json", _SMALL)
        self._note_network(container, _mapping(config))

    def _note_network(self, container: str, config: Mapping[str, Any]) -> None:
        key = _text(_mapping(config.get("NetworkSettings")).get("SandboxKey"))
        found = _NETWORK.fullmatch(key) if key else None
        if found is None:  # docker writes it down when the container has started
            now = time.monotonic()
            self._no_network.setdefault(container, (now, now))
            return
        self._no_network.pop(container, None)
        self._networks[found[1]] = Fact(
            what=facts.LAYER, layer=found[1], container=container, runtime="docker",
            source="config.v2.json",
        )  # fmt: skip

    def _docker_layer(self, layer: str) -> Fact | None:
        """Return whose layer it is; if docker has new containers, read the layers of these."""
        changed = self._files.changed(_LAYERS)
        if changed != self._changed_docker:
            self._changed_docker = changed
            self._list_docker()
        return next((fact for fact in self._of_docker.values() if fact.layer == layer), None)

    def _list_docker(self) -> None:
        now = self._files.names(_LAYERS)
        if self._of_docker.keys() - set(now):
            self._of_docker = {one: self._of_docker[one] for one in now if one in self._of_docker}
        for container in now:
            if container not in self._of_docker and _LONG.fullmatch(container):
                self._of_docker.update((container, fact) for fact in self._mount_id(container))
                if container not in self._of_docker:  # its file is not written yet
                    self._changed_docker = None

    def _mount_id(self, container: str) -> Iterator[Fact]:
        layer = (self._files.read(f"{_LAYERS}/{container}/mount-id", 256) or b"").decode(
            "ascii", "replace"
        )
        if _ID.fullmatch(layer):
            yield Fact(
                what=facts.LAYER, layer=layer, container=container, runtime="docker",
                source="mount-id",
            )  # fmt: skip

    def of_pod(self, uid: str) -> Fact | None:
        """Return the name of a pod, from the directory of its logs."""
        for name in self._files.names("/var/log/pods"):
            namespace, _, rest = name.partition("_")
            pod, _, found = rest.rpartition("_")
            if found == uid and namespace and pod:
                return Fact(
                    what=facts.POD, pod_uid=uid, pod=f"{namespace}/{pod}", source="pod logs"
                )
        return None

    def of_cgroup(self, path: str) -> tuple[str, str] | None:
        """Return the container and the runtime of a cgroup whose path no pattern knows.

        A runtime's file must name this very cgroup.
        """
        parts = path.strip("/").split("/")
        if not all(_ID.fullmatch(part) and part not in {".", ".."} for part in parts):
            return None
        if len(parts) == 2:  # noqa: PLR2004 - the layout of containerd: namespace and id
            for tasks in _TASKS:
                where = f"{tasks}/{parts[0]}/{parts[1]}/config.json"
                linux = _mapping(_mapping(self._files.json(where, _SMALL)).get("linux"))
                if linux.get("cgroupsPath") == path:
                    return parts[1], "containerd"
        last = parts[-1].removesuffix(".scope")
        status = _mapping(self._files.json(f"/run/crun/{last}/status", _SMALL))
        if status.get("cgroup-path") in {path, path.lstrip("/")}:
            return last, "crun"
        state = _mapping(self._files.json(f"/run/runc/{last}/state.json", _SMALL))
        if any(_ends(where, path) for where in _mapping(state.get("cgroup_paths")).values()):
            return last, "runc"
        return None

    def _docker(self, container: str) -> Iterator[Fact]:
        where = f"{_DOCKER}/containers/{container}/config.v2.json"
        config = self._files.json(where, _SMALL)
        if not isinstance(config, dict):
            return
        inner = _mapping(config.get("Config"))
        labels = _mapping(inner.get("Labels"))
        name = _text(config.get("Name"))
        yield Fact(
            what=facts.CONTAINER, container=container, runtime="docker",
            name=name and name.lstrip("/"), image=_text(inner.get("Image")),
            pod=_pod_of(labels),
            pod_uid=_text(labels.get(f"{_POD}.uid")), source="config.v2.json",
        )  # fmt: skip
        yield from self._mount_id(container)
        self._note_network(container, config)

    def _stored(self, container: str) -> Iterator[Fact]:
        for store in _STORES:
            where = f"{store}/overlay-containers/{container}/userdata/config.json"
            notes = _mapping(_mapping(self._files.json(where, _SMALL)).get("annotations"))
            if "io.kubernetes.pod.name" in notes:
                yield _of_crio(container, notes)
                return
        self._read_lists()
        if container in self._listed:
            yield self._listed[container]
            yield from (f for f in self._layers.values() if f.container == container)

    def _read_lists(self) -> None:
        """Read the lists of containers storage again, if they have changed."""
        now = {path: self._files.changed(path) for path in _LISTS}
        if now == self._changed:
            return
        self._changed, self._listed, self._layers = dict(now), {}, {}
        for path in _LISTS:
            listed = self._files.json(path)
            for one in listed if isinstance(listed, list) else ():
                self._list(_mapping(one))

    def _list(self, one: Mapping[str, Any]) -> None:
        container, layer = _text(one.get("id")), _text(one.get("layer"))
        if container is None or not _LONG.fullmatch(container):
            return
        names = one.get("names")
        about: Mapping[str, Any] = {}
        with suppress(ValueError, RecursionError):
            about = _mapping(json.loads(one.get("metadata") or "{}"))
        name = _text(names[0]) if isinstance(names, list) and names else None
        image = _text(about.get("image-name"))
        self._listed[container] = Fact(
            what=facts.CONTAINER, container=container, name=name, image=image,
            source="containers.json",
        )  # fmt: skip
        if layer:
            self._layers[layer] = Fact(
                what=facts.LAYER, layer=layer, container=container, source="containers.json"
            )


def _of_cri(container: str, notes: Mapping[str, Any]) -> Fact:
    def note(key: str) -> str | None:
        return _text(notes.get(f"io.kubernetes.cri.{key}"))

    return Fact(
        what=facts.CONTAINER, container=container, runtime="containerd",
        name=note("container-name") or _text(notes.get("nerdctl/name")),
        image=note("image-name") or note("podsandbox.image-name"),
        pod=_pod(note("sandbox-namespace"), note("sandbox-name")),
        pod_uid=note("sandbox-uid"), source="config.json",
    )  # fmt: skip


def _of_crio(container: str, notes: Mapping[str, Any]) -> Fact:
    return Fact(
        what=facts.CONTAINER, container=container, runtime="cri-o",
        name=_text(notes.get("io.kubernetes.container.name")),
        image=_text(notes.get("io.kubernetes.cri-o.ImageName")),
        pod=_pod_of(notes),
        pod_uid=_text(notes.get(f"{_POD}.uid")), source="config.json",
    )  # fmt: skip


def _pod(namespace: object, name: object) -> str | None:
    space, pod = _text(namespace), _text(name)
    return f"{space}/{pod}" if space and pod else None


def _pod_of(labels: Mapping[str, Any]) -> str | None:
    return _pod(labels.get(f"{_POD}.namespace"), labels.get(f"{_POD}.name"))


def _text(value: object) -> str | None:
    """Return a text of somebody else, cut; None if it is none, or empty."""
    return value[:_LONGEST] if isinstance(value, str) and value else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _ends(where: object, path: str) -> bool:
    return isinstance(where, str) and (where == path or where.endswith("/cgroup" + path))
