"""An S3 server of this host in a process of its own, and Dask clusters; for the slow tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress


@contextmanager
def s3_server(log):
    """Start moto's server; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ})
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, server)
        yield address
    finally:
        server.kill()
        server.wait()


def _wait(address, server):
    until = time.monotonic() + 60
    while not _answers(address):
        assert time.monotonic() < until, "the S3 server does not answer"
        assert server.poll() is None, "the S3 server has ended"
        time.sleep(0.1)


def _answers(address):
    with suppress(OSError):
        urllib.request.urlopen(f"{address}/moto-api/data.json", timeout=1).close()
        return True
    return False
