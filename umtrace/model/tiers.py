"""The tiers: the ways to observe an umount, and what each can and cannot tell.

This table is the only place that says what a tier sees. Code that comes after a source asks
`tier_named` for a property, never for the name: a recording may come from a tier that this
version does not have. docs/architecture.md says how to add one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One way to observe umounts; a property that is None is not known.

    Attributes
    ----------
    name : str
        As in ``--tier``, in rows and in ``meta.json``.
    needs : tuple of str
        What the host must offer, for people.
    sees : str
        What it shows, for people: a cell of the README's table.
    lacks : tuple of str
        What a better tier shows and it never does, for people.
    options : tuple of str
        Options that its kernel was built with, as in the kernel's own configuration.
    never : frozenset of str
        Columns of the Umount row that are null in every row of it.
    placement : str
        How the probe plan places function probes for it: fentry or kprobe. Empty without them.
    probes_functions : bool or None
        Whether it has probes at kernel functions, and not at tracepoints alone.
    probes_every_function : bool or None
        Whether it probes every function that a row is made of. A function without an event was
        then missed: the row has lost it.
    counts_references : bool or None
        Whether it has the reference count of every busy check that counts.
    gives_evidence : bool or None
        Whether its events tell more of an EBUSY than its rows do.
    sees_claims : bool or None
        Whether its events tell of claims of devices that succeed soon after an umount.
    reads_dentries : bool or None
        Whether it reads where a mount was attached.
    names_mounts : bool or None
        Whether an umount has its path and a namespace its number, on every kernel.
    stand_in : str
        Tier that is taken where this one was asked for by name and cannot be had.
    """

    name: str
    needs: tuple[str, ...] = ()
    sees: str = ""
    lacks: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    never: frozenset[str] = frozenset()
    placement: str = ""
    probes_functions: bool | None = None
    probes_every_function: bool | None = None
    counts_references: bool | None = None
    gives_evidence: bool | None = None
    sees_claims: bool | None = None
    reads_dentries: bool | None = None
    names_mounts: bool | None = None
    stand_in: str = field(default="", repr=False)
    never_light: frozenset[str] = frozenset()  #: the same with ``--probes light``, beyond ``never``

    def with_probes(self, probes: str) -> Tier:
        """Return what it is with a set of probes, as in ``--probes``."""
        if probes != "light" or not self.never_light:
            return self
        return replace(self, never=self.never | self.never_light, reads_dentries=False)


#: what only ``struct mount`` or a probe at a function says
_OF_FUNCTIONS = frozenset(
    {
        "mountpoint",
        "fstype",
        "source",
        "dev",
        "mount_id",
        "tree_ns",
        "put_ns",
        "final_put_comm",
        "tail_ns",
        "n_legitimized",
        "n_discounted",
        "refcount",
    }
)

#: what only a program that reads the kernel's variables says
_READ = frozenset(
    {
        "n_held",
        "n_mntns",
        "mntns_top",
        "gp_seq",
        "lock_holder_tid",
        "lock_holder_comm",
        "lock_holder_op",
        "lock_held_ns",
    }
)

#: what the programs of ``--probes light`` leave out
_NOT_LIGHT = frozenset(
    {
        "mountpoint",
        "source",
        "lookup_ns",
        "lock_ns",
        "final_put",
        "final_put_comm",
        "tail_ns",
        "n_legitimized",
        "n_discounted",
        "refcount",
        *_READ,
    }
)

_LACKS = (
    "file system type, source and device of a mount",
    "phases path lookup, umount tree and mntput loop",
    "path walks, reference counts, claims of devices",
)
_KPROBE_OPTIONS = ("CONFIG_KPROBES", "CONFIG_KPROBE_EVENTS")

#: the tiers there are, in the order in which ``--tier auto`` tries them
TIERS = (
    Tier(
        name="fentry",
        needs=("root", "BPF", "BPF trampolines", "BTF"),
        sees=(
            "every phase, identities, origin, propagated copies, reference counts, path walkers, "
            "the last put; the cheapest"
        ),
        options=("CONFIG_BPF_SYSCALL", "CONFIG_DEBUG_INFO_BTF", "CONFIG_FUNCTION_TRACER"),
        placement="fentry",
        never_light=_NOT_LIGHT,
        probes_functions=True,
        probes_every_function=True,
        counts_references=True,
        gives_evidence=True,
        sees_claims=True,
        reads_dentries=True,
        names_mounts=True,
    ),
    Tier(
        name="kprobe",
        needs=("root", "BPF", "kprobes"),
        sees=(
            "the same; runs with preemption off, so it misses nothing where fentry programs are "
            "preempted (7.x, PREEMPT_RT)"
        ),
        options=("CONFIG_BPF_SYSCALL", *_KPROBE_OPTIONS),
        placement="kprobe",
        never_light=_NOT_LIGHT,
        probes_functions=True,
        probes_every_function=True,
        counts_references=True,
        gives_evidence=True,
        sees_claims=True,
        reads_dentries=True,
        names_mounts=True,
    ),
    Tier(
        name="ftrace",
        needs=("root", "tracefs", "kprobe events"),
        sees=(
            "the same, in user space from a trace instance of its own "
            "([docs/ftrace.md](docs/ftrace.md)); path walkers from 6.9; not where a mount was "
            "attached"
        ),
        lacks=("where a mount was attached",),
        options=_KPROBE_OPTIONS,
        never=frozenset({"mountpoint"}) | _READ,
        placement="kprobe",
        probes_functions=True,
        probes_every_function=False,
        counts_references=False,
        gives_evidence=True,
        sees_claims=False,
        reads_dentries=False,
        names_mounts=True,
        stand_in="ftrace-static",
    ),
    Tier(
        name="tracepoint",
        needs=("root", "BPF"),
        sees=(
            "latency, flags, errno, path, container; RCU wait, lock wait and shutdown by the "
            "kernel stack; mount namespaces that end, if a task sleeps in that; not 32-bit "
            "(compat) calls"
        ),
        lacks=_LACKS,
        options=("CONFIG_BPF_SYSCALL", "CONFIG_FTRACE_SYSCALLS"),
        never=_OF_FUNCTIONS | _READ,
        probes_functions=False,
        probes_every_function=False,
        counts_references=False,
        gives_evidence=False,
        sees_claims=False,
        reads_dentries=False,
        names_mounts=True,
    ),
    Tier(
        name="ftrace-static",
        needs=("root", "tracefs"),
        sees=(
            "umount(2), its latency (upper bound) and waits, by tracepoints and stacks; no mount "
            "identity, no path before 7.0"
        ),
        lacks=_LACKS,
        options=("CONFIG_FTRACE_SYSCALLS",),
        never=_OF_FUNCTIONS | _READ | {"mntns", "n_mounts"},
        probes_functions=False,
        probes_every_function=False,
        counts_references=False,
        gives_evidence=False,
        sees_claims=False,
        reads_dentries=False,
        names_mounts=False,
    ),
)

_BY_NAME = {tier.name: tier for tier in TIERS}


def tier_named(name: str) -> Tier:
    """Return the tier of that name, or one of which nothing is known.

    A recording of another version, or one that was made up, may name any tier.
    """
    return _BY_NAME.get(name) or Tier(name=name)


def names() -> tuple[str, ...]:
    """Return the names in the order of preference."""
    return tuple(_BY_NAME)
