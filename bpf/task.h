/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is kept of a task that is followed; see tasks.h. */
#ifndef UMTRACE_TASK_H
#define UMTRACE_TASK_H

#include "config.h"

enum um_phase {
	UM_OPENING = 0, /* its opener is not sent yet, or its last event is: see um_closing */
	UM_INSIDE = 1,	/* in umount(2) */
	UM_LEAVING = 2, /* past sys_exit: task work may still run */
	UM_EXITING = 3, /* in do_exit, in another mount namespace than that of the host */
	UM_NS_DOWN = 4, /* in do_exit, seen taking its mount namespace down */
	UM_NS_PUT = 6,	/* first seen asleep while it took a mount namespace down, but not to exit */
	UM_TEARDOWN_IN = 5, /* taking mounts down outside umount(2), before namespace_unlock's end */
};

#define UM_REPORTED_SBS 8 /* a power of two; two superblocks with one place are reported again */

/* A superblock that the operation leaves alive. */
struct um_reported {
	u32 sb; /* its address, shifted; 0 none */
	u32 dev;
	u32 active; /* references, before one is dropped; with UM_COUNTED_AGAIN if the report had more */
};
#define UM_COUNTED_AGAIN 0x80000000

/* With --probes light: what an umount(2) sends when it is over. */
struct um_light {
	u64 called_ns; /* the end of the call */
	u64 rcu_began_ns;
	u64 rcu_ns; /* all waits for a grace period */
	u64 mount_id;
	u32 waits;
	u32 dev;
	u32 flags; /* of the mount */
	char fstype[16];
};

#define UM_TASK_SLOTS 16384

struct um_task {
	u32 tid; /* the task of this entry; 0 if it is free */
	u32 tgid;
	u32 seq;
	u16 phase;
	u8 off;	      /* an OFF_CPU was sent, and its ON_CPU is due */
	u8 shutdown;  /* the shutdown was sent, which happens once */
	u32 mntns;    /* EXITING: the namespace, stored here since the task drops its nsproxy */
	int n_mounts; /* EXITING: mounts in it, -1 unknown */
	/* For user space, which reads where an operation is while it runs (sources/bpf/open_tasks.py). */
	u64 begun_ns;
	u64 since_ns;  /* the last event */
	u16 last_kind; /* its kind */
	u16 on_stack;  /* of the last OFF_CPU: bits of enum um_on_stack */
	u32 flags;     /* of umount(2) */
	u64 mnt;       /* the mount that is being unmounted; function probes only, as all below */
	u64 counted;	 /* the mount that mnt_get_count counts */
	int count;	 /* references of mnt at the busy check, -1 unknown */
	u32 busy_ns;	 /* namespace of a busy copy */
	u8 in_check;	 /* in propagate_mount_busy */
	u8 in_unlock;	 /* in namespace_unlock */
	u8 in_umount;	 /* in path_umount */
	u8 by_function;	 /* path_umount was not reached through the umount system call */
	u8 exiting;	 /* in do_exit */
	u8 grace_period; /* enum um_grace_period */
	u8 in_rcu;	 /* in synchronize_rcu_expedited, inside namespace_unlock */
	u8 origin;	 /* enum um_origin */
	u8 cleaning;	 /* depth of cleanup_mnt */
	u8 met_cleaning; /* the operation began inside a cleanup_mnt that is no part of it */
	u8 other;	 /* the task is in another operation as well: see parked */
	u8 leaves;	 /* it is counted in um_active.leaving */
	u16 lane;	 /* UM_NESTED if the operation began inside another one, else 0 */
	u8 unended;	 /* LEAVING, and only the next system call certainly ends it */
	u8 uncounted;	 /* there are more mounts to clean up than were counted */
	u32 cleanups;	 /* LEAVING: mounts that are still to be cleaned up */
	u64 switches;	 /* context switches before an RCU wait */
	u64 gp;		 /* the grace period that is awaited, as grace_period.h numbers them */
	u8 gp_exact;	 /* that is the kernel's number */
	u64 word;	 /* makes a number of a typed pointer, see um_lives_on */
	u64 cleaned;	 /* the mount of the outermost cleanup_mnt that the task is in */
	u64 cleaned_ns;	 /* the end of the last one */
	u32 silent;	 /* mounts that were cleaned up without events of their own */
	u32 silent_ended;
	u8 silently;	 /* this mount is one of them */
	u8 spreads;	 /* in umount_tree, before propagate_umount is over: see spread.h */
	u64 locked_ns;	 /* the first event since it has namespace_sem; 0 if it has not, or none came */
	u8 again;	 /* a superblock in ``reported`` was seen again */
	u8 takes_notes;	 /* its events may be noted: see notes.h */
	u8 noted;	 /* how many are */
	union {
		struct um_reported reported[UM_REPORTED_SBS];
		struct um_light light;
	};
};

#endif
