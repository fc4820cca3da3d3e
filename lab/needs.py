"""Whether a kernel of one's own has what the guest needs, and which option to set if not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.table import Table
    from lab.tree import Tree


def check(tree: Tree, table: Table) -> None:
    """Accept a kernel that can run the guest.

    Raises
    ------
    LabError
        With all options that are missing, or all modules that were not built, in one line.
    """
    absent = {name: option for name, option in table.own_modules.items() if not _has(tree, name)}
    wanted = tree.config or {}
    unset = [option for option in absent.values() if wanted.get(option) not in {"y", "m"}]
    if lacking := [*_options(tree, table), *unset]:
        options = ", ".join(f"CONFIG_{option}=y" for option in lacking)
        switched = " ".join(f"-e {option}" for option in lacking)
        raise LabError(
            f"{tree.folder} ({tree.release}) cannot run the guest: set {options} "
            f"(scripts/config {switched}; make olddefconfig) and build it again"
        )
    missing = [f"{name}.ko" for name in absent if not _built_in(tree, table.own_modules[name])]
    if missing:
        raise LabError(
            f"{tree.folder} ({tree.release}) lacks {', '.join(missing)}, which its configuration "
            "has: run make modules there"
        )


def _options(tree: Tree, table: Table) -> list[str]:
    """Return the options that are not built in; none without a configuration."""
    if tree.config is None:
        return []
    return [option for option in table.own_options if tree.config.get(option) != "y"]


def _has(tree: Tree, module: str) -> bool:
    return module in tree.module_names or module in tree.builtin_names


def _built_in(tree: Tree, option: str) -> bool:
    """Whether the configuration says so where no list does."""
    return not tree.builtin_names and (tree.config or {}).get(option) == "y"
