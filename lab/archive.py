"""A private apt: its own sources, index and downloads; nothing of the host's is changed."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

from lab import host, mirror
from lab.errors import LabError, NotServedError
from lab.versions import VERSION_KEY, Package, choose, flavour_of, parse_madison, parts_of

if TYPE_CHECKING:
    from pathlib import Path

    from lab.table import Kernel, Table

STALE_AFTER_SECONDS = 6 * 3600


class Archive:
    """The Debian suites of the table, as the host's mirror serves them."""

    def __init__(self, root: Path, table: Table) -> None:
        self._folder = root / "apt"
        self._table = table
        self._images: list[Package] | None = None

    def update(self, *, force: bool = False) -> None:
        """Fetch the index when there is none, it is old, or the sources changed.

        A suite the mirror does not serve is no error here; choosing from it is.
        """
        wanted = self._sources()
        sources, stamp = self._folder / "sources.list", self._folder / "updated"
        known = sources.is_file() and sources.read_text(encoding="utf-8") == wanted
        fresh = stamp.is_file() and time.time() - stamp.stat().st_mtime < STALE_AFTER_SECONDS
        if known and fresh and not force:
            return
        host.say("fetching the package index")
        (self._folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        (self._folder / "archives" / "partial").mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        sources.write_text(wanted, encoding="utf-8")
        command = [host.find("apt-get"), *self._options(), "update"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        problems = re.findall(r"^[EW]: .*", done.stderr, re.MULTILINE)
        (self._folder / "problems").write_text("\n".join(problems), encoding="utf-8")
        if not any((self._folder / "lists").glob("*Packages*")):
            raise LabError("apt could fetch no index:\n  " + "\n  ".join(problems[:4]))
        stamp.touch()
        self._images = None

    @property
    def ready(self) -> bool:
        """Whether an index was ever fetched."""
        return (self._folder / "updated").is_file()

    def pick(self, kernel: Kernel) -> Package:
        """Return the package to boot for one row of the table."""
        if self._images is None:
            names = self._cache("pkgnames", "linux-image-").split()
            bootable = sorted(name for name in names if flavour_of(name))
            self._images = parse_madison(self._cache("madison", *bootable)) if bootable else []
        try:
            return choose(kernel, self._images)
        except NotServedError as error:
            problems = (self._folder / "problems").read_text(encoding="utf-8").splitlines()
            about = [line for line in problems if any(suite in line for suite in kernel.suites)]
            raise NotServedError("\n  ".join([str(error), *about[:2]])) from None

    def newest(self, name: str, suites: tuple[str, ...]) -> str:
        """Return the newest version of a package in some suites.

        Raises
        ------
        NotServedError
            The mirror serves none.
        """
        found = parse_madison(self._cache("madison", name))
        versions = [package.version for package in found if package.suite in suites]
        if not versions:
            raise NotServedError(f"the mirror serves no {name} in {' or '.join(suites)}")
        return max(versions, key=VERSION_KEY)

    def parts(self, package: Package) -> list[tuple[str, str]]:
        """Return the (name, version) of every package that `package`'s kernel consists of.

        A part that a mirror has dropped is left out, as of an older version beside the newest:
        whether what is left makes a kernel shows when it is unpacked.
        """
        found = [(package.name, package.version)]
        for name, version in found:  # grows while it is walked
            show = self._cache("show", f"{name}={version}")
            wanted = [part for part in parts_of(show) if part not in found]
            found += [part for part in wanted if self._serves(*part)]
        return found

    def _serves(self, name: str, version: str) -> bool:
        served = parse_madison(self._cache("madison", name))
        return any(package.version == version for package in served)

    def download(self, name: str, version: str | None, target: Path) -> None:
        """Fetch one verified package file into `target`."""
        wanted = f"{name}={version}" if version else name
        host.run(["apt-get", *self._options(), "download", wanted], cwd=target)

    def sources(self, release: str) -> list[str]:
        """Return the sources.list lines of one whole release with its updates."""
        suites = (release, f"{release}-updates", f"{release}-security")
        return [self._source(suite) for suite in suites]

    def _sources(self) -> str:
        release = mirror.codename()
        suites = dict.fromkeys((*self._table.suites, release, f"{release}-backports"))
        return "".join(self._source(suite) + "\n" for suite in suites)

    def _source(self, suite: str) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        keyring = mirror.keyring(self._table.keyrings_of(suite), self._folder)
        return mirror.find().source(suite, keyring)

    def _cache(self, *words: str) -> str:
        return host.run(["apt-cache", *self._options(), *words])

    def _options(self) -> list[str]:
        # On the command line, because that is read after apt.conf.d: proxies and the like of the
        # host stay in force, places do not.
        settings = {
            "Dir::Etc::sourcelist": self._folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": self._folder,
            "Dir::State::lists": self._folder / "lists",
            "Dir::State::status": self._folder / "status",
            "Dir::Cache": self._folder,
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::archives": self._folder / "archives",
            "Acquire::Languages": "none",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
        }
        return [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
