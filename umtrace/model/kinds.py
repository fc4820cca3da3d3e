"""The numbers in events; the mirror of the enums of ``bpf/event.h``. Needs no numpy."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Kind(IntEnum):
    """What an event says happened (``enum um_kind``)."""

    ENTER = 1
    EXIT = 2
    RETURNED = 3
    OFF_CPU = 4
    ON_CPU = 5
    NS_EXIT = 6
    DEAD = 7
    TEARDOWN = 8
    MOUNT = 9
    PATH_UMOUNT = 10
    PATH_UMOUNT_EXIT = 11
    CHECK = 12
    CHECKED = 13
    TREE = 14
    UNLOCK = 15
    UNLOCK_EXIT = 16
    RCU = 17
    RCU_EXIT = 18
    CLEANUP = 19
    CLEANUP_EXIT = 20
    WALK = 21
    PUT = 22
    SHARED = 23
    FAILED = 24
    SKIPPED = 25
    UNSEEN = 26
    CLEANUPS = 27
    ENDED = 28
    LOCKED = 29
    SPREAD_OVER = 30
    CLAIMED = 31


#: what opens an operation
OPENERS = (Kind.ENTER, Kind.NS_EXIT, Kind.TEARDOWN)
#: in ``cpu``: sent by a task that is in no operation; carries no sequence
FOREIGN = 0x8000
#: in ``cpu``: of an operation inside another one of the same task
NESTED = 0x4000
#: in ``a`` of PUT, beside the mount flags
PUT_FIRST_EXEC = 1 << 30  #: the first execve since the task was forked closed the file
PUT_EXITING = 1 << 31  #: the task is exiting
PUT_EARLIER = 1 << 32  #: the task had it before the busy check
PUT_SETTLED = 1 << 33  #: what is left was all taken since the check
PUT_WALKED = 1 << 34  #: the process put others since, of path walks
#: in ``a`` of PUT and PATH_UMOUNT_EXIT, from this bit on: which watch of a busy mount it was, by
#: the moment it began, CLOCK_MONOTONIC >> ARMING_NS_SHIFT, its last bits; 0 unknown
ARMING_SHIFT = 35
ARMING_NS_SHIFT = 10
ARMING_MASK = 0x1FFFFFFF
#: in the flags of a MOUNT event: walkers are probed
WALKERS_WATCHED = 0x40000000
#: in ``b`` of ENDED, from this bit on: the number of RCU waits
WAITS_SHIFT = 8
#: in the flags of a CLEANUP event: the mount that the operation unmounts
IS_TARGET = 0x40000000

#: in ``ret`` of LOCKED, below an origin
LOCKED_BY = 0x10000


class Origin(IntEnum):
    """Which caller of umount_tree took the mounts down (``enum um_origin``)."""

    OTHER = 0
    UMOUNT = 1
    NS_EXIT = 2
    DETACH = 3
    EXPIRE = 4
    FD_CLOSE = 5
    FAILED_MOUNT = 6
    MOUNT_INTERNAL = 7


#: the words of the ``origin`` column, by number
ORIGINS = (
    "other",
    "umount",
    "ns-exit",
    "detach-on-unlink",
    "expire",
    "fd-close",
    "failed-mount",
    "mount-internal",
)
#: what nobody unmounted: the kernel took down what it had made for itself
INTERNAL = ORIGINS[Origin.MOUNT_INTERNAL]


class Exit(IntEnum):
    """How much of umount(2) was seen, in word ``a`` of an EXIT event (``enum um_exit``)."""

    WHOLE = 0
    ALONE = 1
    FROM_PATH = 2


class Returned(IntEnum):
    """What shows that a task is done, in word ``a`` of RETURNED (``enum um_returned``)."""

    UNKNOWN = 0
    SYSCALL = 1
    DEATH = 2
    USER = 3
    KTHREAD = 4
    NO_WORK = 5
    CLEANED = 6
    OUTER = 7
    WORKED = 8


class Failed(IntEnum):
    """Which call got EBUSY, in word ``a`` of a FAILED event (``enum um_failed``)."""

    CLAIM = 1
    MOUNT = 2


class Unseen(IntFlag):
    """What a source does not see, in word ``a`` of an UNSEEN event (``enum um_unseen``)."""

    RCU = 0x100
    CLEANUP = 0x200
    CHECK = 0x400
    TREE = 0x800
    FLAGS = 0x1000
    RESULT = 0x2000
    CALLER = 0x4000
    PUTS = 0x8000


class NotHeld(IntEnum):
    """``enum um_not_held``: why it is not known how many mounts somebody holds (ret of UNLOCK)."""

    MOVED = -1
    TOO_MANY = -2


class GracePeriod(IntEnum):
    """Whose grace period it was (``enum um_grace_period``)."""

    UNKNOWN = 0
    OWN = 1
    JOINED = 2
    NORMAL = 3
    SLEPT = 4


class NameKind(IntEnum):
    """What a name record carries (``enum um_name_kind``)."""

    PATH = 1
    SOURCE = 2
    MOUNTPOINT = 3


class Loss(IntEnum):
    """Index of a kernel-side loss counter (``enum um_loss``)."""

    EVENT_RING = 0
    NAME_RING = 1
    TASK_MAP = 2
    STACK = 3
    BIRTH = 4


class Bell(IntEnum):
    """Why a probe wakes the reader (``enum um_bell``)."""

    EBUSY = 0
    FILL = 1


class OnStack(IntFlag):
    """Functions on the kernel stack of a task that goes off CPU (``enum um_on_stack``).

    Word ``a`` of an OFF_CPU event, so that a recording needs no kernel, no symbols
    and no stacks to be understood.
    """

    UNLOCK = 1
    RCU = 2
    RCU_NORMAL = 4
    FUNNEL = 8
    MUTEX = 16
    LOCK_TAKER = 32
    LOOKUP = 64
    TASK_WORK = 128
    PUT_NS = 256
