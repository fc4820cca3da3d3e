"""The table of kernels and what the guest is made of (``kernels.toml``)."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab.errors import LabError, UnknownKernelError

# In the standard library since 3.11: the lab asks for more than umtrace itself, which runs on 3.10.
tomllib = importlib.import_module("tomllib")
TABLE = Path(__file__).with_name("kernels.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One row of the table: which package to boot, not which version."""

    name: str
    suites: tuple[str, ...]
    series: str
    flavour: str
    params: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Kernels that are built here, with a patch of the project's.

    Attributes
    ----------
    source : str
        The package with the kernel's source.
    suites : tuple of str
        Where to look for it; the newest version wins.
    packages : tuple of str
        What the host needs to build.
    kernels : dict of str to tuple of str
        The files of options of each kernel, in ``lab/designs``.
    """

    source: str
    suites: tuple[str, ...]
    packages: tuple[str, ...]
    kernels: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The whole of ``kernels.toml``."""

    kernels: dict[str, Kernel]
    keyrings: dict[str, tuple[str, ...]]
    boot_modules: tuple[str, ...]
    module_folders: tuple[str, ...]
    packages: tuple[str, ...]
    extras: dict[str, tuple[str, ...]]
    own_options: tuple[str, ...]
    own_modules: dict[str, str]
    built: Built

    def kernel(self, name: str) -> Kernel:
        """Return the kernel of the mirror that a person named."""
        if name in self.built.kernels:
            raise LabError(f"{name} is built here, not fetched: make lab-designs")
        if name not in self.kernels:
            known = ", ".join([*self.kernels, *self.built.kernels])
            raise UnknownKernelError(
                f"no kernel named {name!r}; there are: {known}, or the path of a build tree "
                "(with a slash, such as ./linux)"
            )
        return self.kernels[name]

    def userland(self, extra: str | None) -> tuple[str, ...]:
        """Return the packages of the guest, with those of an extra that a person named."""
        if extra is None:
            return self.packages
        if extra not in self.extras:
            raise LabError(f"no extra named {extra!r}; there are: {', '.join(self.extras)}")
        return (*self.packages, *self.extras[extra])

    @property
    def suites(self) -> tuple[str, ...]:
        """Every suite that some kernel comes from, once."""
        return tuple(dict.fromkeys(s for kernel in self.kernels.values() for s in kernel.suites))

    def keyrings_of(self, suite: str) -> tuple[str, ...]:
        """Return the keyrings whose keys may sign the index of `suite`."""
        return self.keyrings.get(suite, self.keyrings["default"])


@cache
def load(path: Path = TABLE) -> Table:
    """Read the table."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    kernels = {
        name: Kernel(
            name=name,
            suites=tuple(row["suites"]),
            series=row["series"],
            flavour=row["flavour"],
            params=row.get("params", ""),
            note=row.get("note", ""),
        )
        for name, row in raw["kernels"].items()
    }
    return Table(
        kernels=kernels,
        keyrings={suite: tuple(names) for suite, names in raw["keyrings"].items()},
        boot_modules=tuple(raw["modules"]["boot"]),
        module_folders=tuple(raw["modules"]["folders"]),
        packages=tuple(raw["userland"]["packages"]),
        extras={name: tuple(packages) for name, packages in raw["extras"].items()},
        own_options=tuple(raw["own"]["options"]),
        own_modules=dict(raw["own"]["modules"]),
        built=_built(raw["built"]),
    )


def _built(raw: dict[str, Any]) -> Built:
    return Built(
        source=raw["source"],
        suites=tuple(raw["suites"]),
        packages=tuple(raw["packages"]),
        kernels={name: tuple(files) for name, files in raw["kernels"].items()},
    )
