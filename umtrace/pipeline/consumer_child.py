"""The process of a live consumer: imports its function and calls it with the updates."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
from functools import partial

from umtrace.pipeline.updates import updates

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run ``module:function`` on the updates from a descriptor, until the recorder closes it."""
    descriptor, target, folder = sys.argv[1:]
    recorder = os.getppid()
    # The function may spin, and never notice that its recorder was killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != recorder:
        return
    if folder not in sys.path:
        sys.path.append(
            folder
        )  # of the function's module; last, so that no module of umtrace comes from it
    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        function(updates(partial(os.read, int(descriptor))))
    except Exception as error:
        sys.stderr.write(f"umtrace: consumer {name} ended: {type(error).__name__}: {error}\n")
        sys.exit(1)
