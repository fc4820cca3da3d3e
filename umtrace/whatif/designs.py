"""The designs of the argument: who waits for a grace period, and what is put later.

The sources are in docs/whatif.md. All functions here are about one umount that succeeded.
"""

from __future__ import annotations

from dataclasses import dataclass

#: timer ticks a second of the recorded host, where nothing else is given; what a kernel can have
HZ = 250
LEAST_HZ, MOST_HZ = 24, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One way to put the mounts of an umount.

    Attributes
    ----------
    name : str
        A, B, B2, C or D.
    title : str
        What it does, in a line.
    defers_lazy, defers_all : bool
        Which umounts return without a grace period and have their mounts put by a work item after
        a normal one.
    in_turn : bool
        Deferred file systems are shut down one after the other: their puts come from a kernel
        thread, and ``delayed_mntput_work`` is one work item.
    on_demand : bool
        Only umounts of which somebody else holds a victim wait.
    """

    name: str
    title: str
    defers_lazy: bool = False
    defers_all: bool = False
    in_turn: bool = False
    on_demand: bool = False

    @property
    def defers(self) -> bool:
        """Whether any umount is put later."""
        return self.defers_lazy or self.defers_all


DESIGNS = {
    design.name: design
    for design in (
        Design(name="A", title="the kernel today: each umount waits for a grace period"),
        Design(
            name="B",
            title="lazy umounts return at once; one work item shuts file systems down in turn",
            defers_lazy=True,
            in_turn=True,
        ),
        Design(
            name="B2",
            title="as B, but file systems are shut down side by side",
            defers_lazy=True,
        ),
        Design(
            name="C",
            title="all umounts return at once; one work item shuts file systems down in turn",
            defers_all=True,
            in_turn=True,
        ),
        Design(
            name="D",
            title="an umount waits only if somebody else holds one of its mounts",
            on_demand=True,
        ),
    )
}
