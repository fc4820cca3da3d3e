"""Unpack what a kernel's build has compressed: the kernel in a boot image, a module."""

from __future__ import annotations

import bz2
import gzip
import lzma
import subprocess

from lab import host
from lab.errors import LabError, PackingError


def plain(body: bytes) -> bytes:
    """Return the bytes that `body` was made from; its first bytes say how.

    Raises
    ------
    PackingError
        Where this is no format that is known here.
    LabError
        Where it is damaged, or a program of the host is missing.
    """
    if body.startswith(b"\x7fELF"):
        return body
    try:
        return _unpacked(body)
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise LabError(f"what is compressed in the kernel is damaged: {error}") from error


def _unpacked(body: bytes) -> bytes:
    if body.startswith(b"\x1f\x8b"):
        return gzip.decompress(body)
    if body.startswith((b"\xfd7zXZ", b"\x5d\x00\x00")):
        return lzma.decompress(body)
    if body.startswith(b"BZh"):
        return bz2.decompress(body)
    if body.startswith(b"\x28\xb5\x2f\xfd"):
        return _filter("zstd", body)
    if body.startswith(b"\x02\x21\x4c\x18"):
        return _filter("lz4", body)
    raise PackingError(f"unknown kernel compression {body[:4].hex()}")


def _filter(program: str, body: bytes) -> bytes:
    command = [host.find(program), "-dc"]
    done = subprocess.run(command, input=body, capture_output=True, check=False)
    if done.returncode:
        raise LabError(f"{program} could not unpack the kernel: {done.stderr.decode().strip()}")
    return done.stdout
