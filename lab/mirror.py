"""Where this machine's apt gets Debian from; the lab takes other suites from the same place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab import host
from lab.errors import LabError

FIELDS = "$(SITE)|$(RELEASE)|$(CODENAME)|$(COMPONENT)|$(ORIGIN)|$(CREATED_BY)"
KEYRINGS = Path("/usr/share/keyrings")
ALIASES = ("stable", "oldstable", "oldoldstable", "testing", "unstable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """The addresses of the main and of the security archive."""

    main: str
    security: str

    def site(self, suite: str) -> str:
        """Return the address that serves `suite`."""
        return self.security if suite.endswith("-security") else self.main

    def source(self, suite: str, keyring: Path) -> str:
        """Return the sources.list line of `suite`."""
        return f"deb [arch=amd64 signed-by={keyring}] {self.site(suite)} {suite} main"


@cache
def find() -> Mirror:
    """Ask apt for the mirror this machine is set up with."""
    targets = host.run(["apt-get", "indextargets", "--no-release-info", "--format", FIELDS])
    return parse(targets, codename())


def parse(targets: str, release: str) -> Mirror:
    """Read the mirror from the output of ``apt-get indextargets`` on a host of `release`."""
    rows = [line.split("|") for line in targets.splitlines()]
    rows = [row for row in rows if row[3] == "main" and row[5] == "Packages"]
    # Other archives use Debian's suite names too; a suite not yet downloaded has no origin.
    rows = [row for row in rows if row[4] == "Debian"] or [r for r in rows if "ORIGIN" in r[4]]
    main = [site for site, suite, name, *_ in rows if _is_main(suite, name, release)]
    if not main:
        raise LabError(f"apt on this machine has no source for Debian {release}")
    security = [site for site, suite, *_ in rows if suite.endswith("-security")]
    return Mirror(main=main[0], security=(security or main)[0])


def codename(os_release: Path = Path("/etc/os-release")) -> str:
    """Return the code name of the host's release, such as ``bookworm``."""
    for line in os_release.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition("=")
        if key == "VERSION_CODENAME":
            return value.strip('"')
    raise LabError(f"{os_release} names no release; the lab needs a Debian host")


def keyring(names: tuple[str, ...], folder: Path) -> Path:
    """Return one keyring file with the keys of all `names`, made in `folder` when needed."""
    files = [path for name in names if (path := _keyring_file(name)) is not None]
    if not files:
        raise LabError(
            f"no keyring {names[0]} in {KEYRINGS}: apt-get install debian-archive-keyring"
        )
    if len(files) == 1:
        return files[0]
    joined = folder / ("+".join(path.stem for path in files) + ".gpg")
    joined.write_bytes(b"".join(path.read_bytes() for path in files))
    return joined


def _keyring_file(name: str) -> Path | None:
    candidates = (KEYRINGS / f"{name}{end}" for end in (".gpg", ".pgp"))
    return next((path for path in candidates if path.is_file()), None)


def _is_main(suite: str, name: str, release: str) -> bool:
    return suite == release or (suite in ALIASES and name in (release, "$(CODENAME)"))
