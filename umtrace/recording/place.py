"""The directory that is written to, held open: whatever becomes of its name.

Who owns the directory above may put a symlink, or another directory, in its place while root
writes. Everything is therefore opened, renamed and removed below a descriptor.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from umtrace.model.writable import check_ours


class PlaceLostError(OSError):
    """The directory is no longer where it was; ``gone`` where nothing can be written there.

    ``kept`` is how many umount rows can still be read there, None where nobody knows.
    """

    def __init__(self, path: Path, what: str, *, gone: bool, kept: int | None = None) -> None:
        super().__init__(errno.ESTALE, what, str(path))
        self.gone = gone
        self.kept = kept

    def counted(self, kept: int | None, seen: int) -> PlaceLostError:
        """Return the same with what it cost: umounts that are left of those that were seen."""
        if kept is None:
            told = f"{_umounts(seen)} recorded; umtrace repair shows how many are left"
        else:
            told = f"{_umounts(kept)} recorded in it, {seen - kept:,} lost"
        path, what = Path(str(self.filename)), f"{self.strerror}; {told}"
        return PlaceLostError(path, what, gone=self.gone, kept=kept)


class Place:
    """A directory by descriptor; ``inside`` is the path to use, ``path`` the one to show.

    Parameters
    ----------
    path : Path
    follow : bool
        Whether the path may be a symbolic link: of what is there already, not of what is made.

    Raises
    ------
    OSError
        It is no directory, or not to be opened.
    """

    def __init__(self, path: Path, *, follow: bool = False) -> None:
        self.path = path
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        self._fd = os.open(path, flags)
        self.inside = self._below_descriptor()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the directory go; may be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def claim(self) -> None:
        """Make it private; NotPermittedError where it is not ours or others may write to it."""
        check_ours(self.path, os.fstat(self._fd))
        with suppress(OSError):  # some file systems have no modes
            os.fchmod(self._fd, 0o700)

    def lost(self) -> PlaceLostError | None:
        """Return what became of the directory where its name does not lead to it any more."""
        found = os.fstat(self._fd)
        with suppress(OSError):
            if os.path.samestat(self.path.lstat(), found):
                return None
        if not found.st_nlink:
            what = "was removed while it was written to"
            return PlaceLostError(self.path, what, gone=True, kept=0)
        return PlaceLostError(self.path, f"was {self._whereabouts(found)}", gone=False)

    def _whereabouts(self, found: os.stat_result) -> str:
        with suppress(OSError):
            now = self.inside.readlink()
            if os.path.samestat(now.lstat(), found):
                return f"renamed while it was written to; the recording is {now}"
        return "unmounted or moved out of sight while it was written to"

    def _below_descriptor(self) -> Path:
        """Return a path that leads to the descriptor; a /proc of other processes has none."""
        below = Path(f"/proc/self/fd/{self._fd}")
        with suppress(OSError):
            if os.path.samestat(below.stat(), os.fstat(self._fd)):
                return below
        return self.path


def _umounts(number: int) -> str:
    return f"{number:,} umount{'' if number == 1 else 's'}"
