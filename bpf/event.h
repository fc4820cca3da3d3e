/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The wire format between the probes and user space. Plain C, no bcc macros, so
 * that a test can compile it and compare every offset with the numpy dtypes in
 * umtrace/model/events.py. Numbers are explicit, append-only, never reused.
 */
#ifndef UMTRACE_EVENT_H
#define UMTRACE_EVENT_H

/* What happened. The meaning of ret, a and b is given per kind. */
enum um_kind {
	/* umount(2) entered: ret = flags, a = cgroup id, b = mount namespace inum or 0 */
	UM_ENTER = 1,
	/* umount(2) left: ret = 0 or -errno, a = enum um_exit */
	UM_EXIT = 2,
	/* the operation is over: a = enum um_returned (until 0.1.1 with bits of enum um_unseen) */
	UM_RETURNED = 3,
	/* off CPU: ret = task state, a = bits of enum um_on_stack, b = 1 if the stack is unknown */
	UM_OFF_CPU = 4,
	/* on CPU again */
	UM_ON_CPU = 5,
	/* an exiting task takes its mount namespace down: ret = mounts in it or -1,
	 * a = cgroup id, b = mount namespace inum */
	UM_NS_EXIT = 6,
	/* the exiting task is dead */
	UM_DEAD = 7,

	/* From here on: function probes. mnt is the mount that the event is about. */

	/* umount_tree entered by a task outside umount(2): ret = enum um_origin,
	 * a = cgroup id, b = inum of the mount's namespace; opens an operation */
	UM_TEARDOWN = 8,
	/* the identity of the mount: ret = mount flags with UM_WALKERS_WATCHED, a = mount id,
	 * b = s_dev, comm = file system type */
	UM_MOUNT = 9,
	/* path_umount entered: ret = flags */
	UM_PATH_UMOUNT = 10,
	/* path_umount left: ret = its return value; of a mount that was busy before, a = 1 when the
	 * references left were all taken since the check, and its arming (UM_ARMING_SHIFT); after
	 * an EBUSY b = references left plus 1, 0 unknown */
	UM_PATH_UMOUNT_EXIT = 11,
	/* propagate_mount_busy entered */
	UM_CHECK = 12,
	/* and left: ret = 1 if busy, a = reference count of the mount, ~0 unknown,
	 * b = inum of the namespace of the copy that was busy, 0 if it was the mount itself */
	UM_CHECKED = 13,
	/* umount_tree entered: ret = enum umount_tree_flags */
	UM_TREE = 14,
	/* namespace_unlock entered: a = mounts to be put, ~0 unknown; ret = how many of them somebody
	 * holds plus 1, 0 unknown, or enum um_not_held; b = mount namespaces that they were in plus 1,
	 * 0 unknown */
	UM_UNLOCK = 15,
	UM_UNLOCK_EXIT = 16,
	/* synchronize_rcu_expedited entered, nested in namespace_unlock */
	UM_RCU = 17,
	/* and left: ret = enum um_grace_period, a = number of the grace period, 0 unknown */
	UM_RCU_EXIT = 18,
	/* cleanup_mnt entered: ret = mount flags with UM_IS_TARGET, a = active references of the superblock, b = s_dev;
	 * when the task is in no operation seq = 0, comm = the task */
	UM_CLEANUP = 19,
	/* and left; seq = 0 as above */
	UM_CLEANUP_EXIT = 20,
	/* __legitimize_mnt by a path walker on a dying mount, or one that has just been busy:
	 * ret = its return value, a = mount flags */
	UM_WALK = 21,
	/*
	 * mntput on such a mount: ret = number plus 1 of the system call it is made in; minus that
	 * number minus 2 where the call has its result already; -1 in none, 0 unknown; a = mount flags
	 * with UM_PUT_*, b = references left plus 1, 0 unknown; of a reference from before the check,
	 * seq = process id of the task's parent, 0 unknown
	 */
	UM_PUT = 22,
	/* deactivate_super entered with other references left: a = active references, b = s_dev,
	 * ret = mounts of it that were read, comm = four u32, inums of the namespaces they are in, 0 none */
	UM_SHARED = 23,
	/* another call got EBUSY: ret = -EBUSY, a = enum um_failed, b = device */
	UM_FAILED = 24,
	/* sent by the reader of the ring, before the events that it read: b of the puts up to now were
	 * not seen, none of them before a (CLOCK_MONOTONIC, ns) */
	UM_SKIPPED = 25,
	/* in an operation, by a source that does not see all of it: a = bits of enum um_unseen */
	UM_UNSEEN = 26,
	/* a = mounts that the task cleaned up without a UM_CLEANUP and UM_CLEANUP_EXIT for each, as their
	 * superblocks live on and none is the mount that the operation is about; at the end of the last */
	UM_CLEANUPS = 27,
	/*
	 * With --probes light, instead of all events of an umount(2) that succeeded, but for UM_ENTER and
	 * UM_MOUNT: a as in UM_RETURNED, with bits of enum um_unseen, ret = mounts or -1,
	 * b = enum um_grace_period, and from UM_WAITS_SHIFT on the number of RCU waits,
	 * comm = two u64: when the call was over, and the ns of the RCU waits
	 */
	UM_ENDED = 28,
	/* a task holds namespace_sem for writing as the wait for it begins, or where that is not probed
	 * as path_umount is entered: b = its id, comm = its name, ret = UM_LOCKED_BY plus enum um_origin
	 * if it is in an operation, else the number plus 1 of its
	 * system call, -1 in none, 0 unknown; a = since when it has it, CLOCK_MONOTONIC, ns, 0 unknown */
	UM_LOCKED = 29,
	/* of which namespaces namespace_unlock puts most mounts: a, and two u64 in comm = mounts << 32 with
	 * the inum, the most first, 0 none; if there is more than one namespace */
	UM_SPREAD_OVER = 30,
	/*
	 * a block device was claimed whose file system was unmounted within the last ten seconds:
	 * ret = number plus 1 of the system call it is made in, as in UM_PUT; b = device,
	 * a = how many more claims are sent until the next umount: after 0 there may be others. Where
	 * two devices share a slot, also claims of a device that was not unmounted are sent
	 */
	UM_CLAIMED = 31,
};

/* How much of umount(2) was seen. */
enum um_exit {
	UM_EXIT_WHOLE = 0,
	UM_EXIT_ALONE = 1,     /* its entry was not seen: nothing follows */
	UM_EXIT_FROM_PATH = 2, /* path_umount in it is the first thing that was seen */
};

/* In ret of UM_LOCKED, below: an origin; above is no number of a system call. */
#define UM_LOCKED_BY 0x10000

/* What shows that an operation is over. */
enum um_returned {
	UM_RETURNED_UNKNOWN = 0,	 /* nothing: the trace ends */
	UM_RETURNED_SYSCALL = 1, /* its next system call */
	UM_RETURNED_DEATH = 2,
	UM_RETURNED_USER = 3, /* it was seen in user mode */
	UM_RETURNED_KTHREAD = 4,
	UM_RETURNED_NO_WORK = 5, /* no mount is left in its list of work */
	UM_RETURNED_CLEANED = 6, /* it cleaned up as many mounts as it dropped last references */
	UM_RETURNED_OUTER = 7,	 /* NO_WORK, and an operation inside this one (UM_NESTED) is over, too */
	UM_RETURNED_WORKED = 8,	 /* the run of its task work is over */
};

/* What a source does not see: where its events are missing, that means nothing. */
enum um_unseen {
	UM_UNSEEN_RCU = 0x100,	   /* the RCU wait */
	UM_UNSEEN_CLEANUP = 0x200, /* the file system's shutdown */
	UM_UNSEEN_CHECK = 0x400,   /* the busy check */
	UM_UNSEEN_TREE = 0x800,	   /* umount_tree */
	UM_UNSEEN_FLAGS = 0x1000,  /* the flags of the call: ret of UM_ENTER is not valid */
	UM_UNSEEN_RESULT = 0x2000, /* what the call returned and when: ret of UM_EXIT is not valid */
	UM_UNSEEN_CALLER = 0x4000, /* the caller of umount_tree: ret of UM_TEARDOWN is not valid */
	UM_UNSEEN_PUTS = 0x8000,   /* who puts the last references */
};

/* Why it is not known how many mounts somebody holds. */
enum um_not_held {
	UM_HELD_MOVED = -1,    /* references moved while they were counted */
	UM_HELD_TOO_MANY = -2, /* more mounts times CPUs than are read */
};

/* The kind of grace period: from what exp_funnel_lock returned, and from the function that waited. */
enum um_grace_period {
	UM_GP_UNKNOWN = 0, /* not probed; or the task did not sleep, and no probe shows the kind */
	UM_GP_OWN = 1,
	UM_GP_JOINED = 2, /* shared with another task (piggybacked) */
	UM_GP_NORMAL = 3, /* not expedited */
	UM_GP_SLEPT = 4,  /* expedited, and the task slept: its own or a shared one */
};

/* Which call got EBUSY. */
enum um_failed {
	UM_FAILED_CLAIM = 1, /* bd_prepare_to_claim: open with O_EXCL, mkfs, mount of a block device */
	UM_FAILED_MOUNT = 2, /* vfs_get_tree: mount or fsconfig, with a superblock that is in use */
};

/* In the mount flags of UM_MOUNT: path walkers are probed, so no UM_WALK means no path walker. */
#define UM_WALKERS_WATCHED 0x40000000

/* In the mount flags of UM_CLEANUP: it is the mount that the operation unmounts. */
#define UM_IS_TARGET 0x40000000

/* In the mount flags of UM_PUT: the task is exiting. */
#define UM_PUT_EXITING 0x80000000
/* Also there: the first execve of a task since its fork closed the file that was open in both. */
#define UM_PUT_FIRST_EXEC 0x40000000
/* Also there: the task did not take this reference since the busy check. */
#define UM_PUT_EARLIER (1ULL << 32)
/* Also there: the first put that shows that all references left were taken since the busy check. */
#define UM_PUT_SETTLED (1ULL << 33)
/* Also there: the process has put references in path calls since, so it may have opened a file. */
#define UM_PUT_WALKED (1ULL << 34)

/*
 * From this bit on, in a of UM_PUT and UM_PATH_UMOUNT_EXIT: the time since when the busy mount is
 * armed and fully seen, as the last bits of CLOCK_MONOTONIC >> UM_ARMING_NS_SHIFT; 0 if it is not.
 */
#define UM_ARMING_SHIFT 35
#define UM_ARMING_NS_SHIFT 10
#define UM_ARMING_MASK 0x1fffffff

#define UM_WAITS_SHIFT 8

/* In an event's cpu: sent by a task that is in no operation, without a sequence number. */
#define UM_FOREIGN 0x8000

/*
 * In an event's cpu: it belongs to an operation inside another one of the same task, with sequence
 * numbers of its own. For example, the cleanup_mnt of an umount drops the last reference to a file
 * of nsfs, which ends a mount namespace.
 */
#define UM_NESTED 0x4000

/* The origin: the caller of umount_tree. */
enum um_origin {
	UM_BY_OTHER = 0,
	UM_BY_UMOUNT = 1,
	UM_BY_NS_EXIT = 2,
	UM_BY_DETACH = 3,  /* __detach_mounts: unlink, rmdir or rename of a mountpoint elsewhere */
	UM_BY_EXPIRE = 4,  /* mark_mounts_for_expiry */
	UM_BY_FD_CLOSE = 5, /* dissolve_on_fput */
	UM_BY_FAILED_MOUNT = 6,
	/* a mount that the kernel made for its own use: the namespace of one mount in which btrfs and
	 * NFSv4 find their subvolume or export, or the copy of a tree that audit walks */
	UM_BY_MOUNT_INTERNAL = 7,
};

/* Functions found on the kernel stack of a task that goes off CPU; a set of bits. */
enum um_on_stack {
	UM_ON_UNLOCK = 1,	/* namespace_unlock */
	UM_ON_RCU = 2,		/* synchronize_rcu_expedited */
	UM_ON_RCU_NORMAL = 4,	/* synchronize_rcu_normal, __wait_rcu_gp */
	UM_ON_FUNNEL = 8,	/* exp_funnel_lock */
	UM_ON_MUTEX = 16,	/* __mutex_lock */
	UM_ON_LOCK_TAKER = 32,	/* a writer's lock function called by one that takes namespace_sem */
	UM_ON_LOOKUP = 64,	/* filename_lookup */
	UM_ON_TASK_WORK = 128,	/* task_work_run, cleanup_mnt */
	UM_ON_PUT_NS = 256,	/* put_mnt_ns */
};

/* One event: 64 bytes, so that a full ring is one numpy view. */
struct um_event {
	unsigned long long ts_ns; /* CLOCK_MONOTONIC */
	unsigned long long mnt;   /* address of the struct mount, an identity; 0 unknown */
	unsigned int tid;
	unsigned int tgid;
	unsigned short kind; /* enum um_kind */
	unsigned short cpu;
	int ret;
	unsigned long long a;
	unsigned int b;
	/*
	 * Counts the events of one operation of one task, and starts with a number taken from
	 * the clock. So a missing number is a lost event, and the rests of two operations are
	 * never joined. The order can differ from that of the ring: a fentry program can be
	 * preempted after it took a number and before it sends its event.
	 */
	unsigned int seq;
	char comm[16];
};

/* What a name record carries. */
enum um_name_kind {
	UM_NAME_PATH = 1,   /* the path as given to umount(2) */
	UM_NAME_SOURCE = 2, /* the device or source of the mount */
	/*
	 * Where the mount is attached, from the root of its namespace: the components from the
	 * last to the first, each ended by a NUL, and one more NUL if the root was reached.
	 */
	UM_NAME_MOUNTPOINT = 3,
};

#define UM_NAME_TEXT 232

/* Text that does not fit an event, in parts; joined to its event by (tid, ts_ns). */
struct um_name {
	unsigned long long ts_ns;
	unsigned int tid;
	unsigned short kind; /* enum um_name_kind */
	unsigned short part; /* 0, 1, 2, ... */
	unsigned int len;    /* bytes of text used in this part */
	unsigned int more;   /* 1 when another part follows */
	char text[UM_NAME_TEXT];
};

#define UM_BIRTH_TEXT 488

/* A cgroup of the v2 hierarchy was made or removed. */
struct um_birth {
	unsigned long long id;
	unsigned int gone; /* 1 if it was removed */
	unsigned int len;  /* of the path, with its NUL; UM_BIRTH_TEXT if it was cut */
	char path[UM_BIRTH_TEXT]; /* from the root of the hierarchy */
};

/* Why an event could not be delivered; indexes of the per-CPU loss counters. */
enum um_loss {
	UM_LOSS_EVENT_RING = 0, /* event ring full */
	UM_LOSS_NAME_RING = 1,  /* name ring full */
	UM_LOSS_TASK_MAP = 2,   /* more concurrent operations than the task map holds */
	UM_LOSS_STACK = 3,      /* kernel stack could not be stored */
	UM_LOSS_BIRTH = 4,	/* ring of births and deaths of cgroups full */
	UM_LOSS_MAX = 5,
};

/* Why the reader is woken; a record of the ring `bell`. */
enum um_bell {
	UM_BELL_EBUSY = 0, /* a mount was busy; its holder may be gone soon */
	UM_BELL_FILL = 1,  /* another eighth of the event ring was filled */
};

#endif
