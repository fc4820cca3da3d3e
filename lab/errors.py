"""What can go wrong before a guest runs.

::

    LabError
      MissingToolError   a program of the host is not installed
      NotServedError     the mirror has no such kernel
      NoSpaceError       the cache's disk is too full
      PackingError       a kernel or a module is compressed in a way that is unknown here
      UnknownKernelError the table has no such name

A guest that fails is no exception but an :class:`lab.boot.Outcome`.
"""

from __future__ import annotations


class LabError(Exception):
    """A failure whose message tells a person what to do."""


class MissingToolError(LabError):
    """A program of the host is not installed."""


class NotServedError(LabError):
    """The mirror's index has no matching kernel."""


class NoSpaceError(LabError):
    """The disk that holds the cache is too full."""


class PackingError(LabError):
    """A kernel or a module is compressed in a way that is unknown here."""


class UnknownKernelError(LabError):
    """The table has no kernel of this name."""
