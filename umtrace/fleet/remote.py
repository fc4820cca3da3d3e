"""Object storage by fsspec: `s3://`, `gs://`, and whatever else has a driver.

Credentials and endpoints are those of the driver's own environment variables and files.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec

from umtrace.fleet.storage import Stored, scratch
from umtrace.model.errors import DamagedInputError, UmtraceError, UsageError

#: here a file appears whole when its upload ends; elsewhere it is renamed last
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"})
_CHUNK = 8 << 20


class RemoteFolder:
    """A folder of a file system that fsspec has a driver for."""

    def __init__(self, where: str) -> None:
        self.where = where
        try:
            self._system, self._root = fsspec.core.url_to_fs(where, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise UsageError(f"{where}: no driver for it: {error}") from None
        self._root = self._root.rstrip("/")

    def files(self) -> Iterator[Stored]:
        """Yield all files, in order of their paths; UsageError where there are none."""
        try:
            found = self._system.find(self._root, detail=True)
        except Exception as error:
            raise _translated(self.where, error) from None
        if not found:
            raise UsageError(f"{self.where}: nothing is there")
        for path in sorted(found):
            below = path.removeprefix(self._root).lstrip("/")
            if below and found[path].get("type") == "file":
                size = int(found[path].get("size") or 0)
                yield Stored(path=below, size=size, changed_ns=_changed(found[path]))

    @contextmanager
    def local(self, path: str, most: int) -> Iterator[Path]:
        """Copy a file of at most ``most`` bytes to this host, for a while."""
        with scratch() as folder:
            copy = folder / "copy.parquet"
            try:
                self._copy(f"{self._root}/{path}", copy, most)
            except DamagedInputError:
                raise
            except Exception as error:
                raise _translated(path, error) from None
            yield copy

    def _copy(self, path: str, copy: Path, most: int) -> None:
        with self._system.open(path, "rb") as source, copy.open("xb") as target:
            while chunk := source.read(_CHUNK):
                if target.tell() + len(chunk) > most:
                    raise DamagedInputError(f"a file of more than {most >> 20} MB")
                target.write(chunk)

    def check(self) -> None:
        """Nothing: object storage has no folders that could be missing."""

    def put(self, path: str, data: bytes) -> None:
        """Write a file that appears whole or not at all; an older one is replaced."""
        final = f"{self._root}/{path}"
        try:
            if _WHOLE & set(_protocols(self._system)):
                self._system.pipe_file(final, data)
                return
            partial = f"{final}.{secrets.token_hex(8)}.tmp"
            self._system.makedirs(final.rpartition("/")[0], exist_ok=True)
            try:
                self._system.pipe_file(partial, data)
                self._system.mv(partial, final)
            except BaseException:
                with suppress(Exception):
                    self._system.rm_file(partial)
                raise
        except Exception as error:
            raise _translated(f"{self.where}/{path}", error) from None


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)


def _changed(about: dict[str, Any]) -> int | None:
    when = about.get("LastModified") or about.get("mtime") or about.get("updated")
    if isinstance(when, datetime):
        return int(when.timestamp() * 1_000_000_000)
    return int(when * 1_000_000_000) if isinstance(when, int | float) else None


def _translated(where: str, error: Exception) -> UmtraceError:
    """Return an error of a driver, which may be of any class, as one of ours."""
    text = " ".join(str(error).split()) or type(error).__name__
    return UmtraceError(f"{where}: {text[:300]}")
