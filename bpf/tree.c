/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* umount_tree: its caller, and the opener of an operation that is no umount(2). */
#include "leaving.h"
#include "mount.h"
#include "placement.h"

#define UM_IN_CLEANUP 0x100 /* beside the origin: cleanup_mnt is on the stack, too */
#define UM_NO_CALLER 0x200  /* instead of an origin: the stack could not be read, or compared */
#define UM_ORIGIN 0xff

/* The first of these that is on the stack decides, since others may be its callers. */
static __always_inline u32 um_by(u64 found, u64 put_ns, u64 collected, u64 mounting)
{
	/* The mount namespace in which a new mount is made, or a copy of a tree, which is in none. */
	if ((put_ns && mounting) || (collected && !put_ns))
		return UM_BY_MOUNT_INTERNAL;
	if (put_ns)
		return UM_BY_NS_EXIT;
	if (found & (1 << UM_BY_UMOUNT))
		return UM_BY_UMOUNT;
	if (found & (1 << UM_BY_DETACH))
		return UM_BY_DETACH;
	if (found & (1 << UM_BY_EXPIRE))
		return UM_BY_EXPIRE;
	if (found & (1 << UM_BY_FD_CLOSE))
		return UM_BY_FD_CLOSE;
	return found & (1 << UM_BY_FAILED_MOUNT) ? UM_BY_FAILED_MOUNT : UM_BY_OTHER;
}

#define UM_CALLERS 24 /* frames: there are 12 from umount_tree to the cleanup_mnt of a file of nsfs */

static __always_inline u32 um_caller(struct um_frames *f, int n)
{
	u64 found = 0, put_ns = 0, collected = 0, mounting = 0, cleaning = 0;
	int i;

	for (i = 0; i < UM_CALLERS; i++) {
		u64 ip;

		asm volatile("" : "+r"(i));
		if (i >= n)
			break;
		ip = f->ip[i];
		/* One bit per origin: callers of umount_tree are always real calls. */
		found |= UM_IN(ip, UM_FN_PATH_UMOUNT) << UM_BY_UMOUNT;
		put_ns |= UM_IN(ip, UM_FN_PUT_NS);
		collected |= UM_IN(ip, UM_FN_DROP_COLLECTED);
		mounting |= UM_IN(ip, UM_FN_MOUNT_SUBTREE) | UM_IN(ip, UM_FN_GET_TREE);
		cleaning |= UM_IN(ip, UM_FN_CLEANUP);
		found |= UM_IN(ip, UM_FN_DETACH_MOUNTS) << UM_BY_DETACH;
		found |= UM_IN(ip, UM_FN_EXPIRY) << UM_BY_EXPIRE;
		found |= UM_IN(ip, UM_FN_DISSOLVE) << UM_BY_FD_CLOSE;
		found |= (UM_IN(ip, UM_FN_PATH_MOUNT) | UM_IN(ip, UM_FN_COPY_TREE) |
			  UM_IN(ip, UM_FN_ATTACH_RECURSIVE)) << UM_BY_FAILED_MOUNT;
	}
	return um_by(found, put_ns, collected, mounting) | (cleaning ? UM_IN_CLEANUP : 0);
}

static __always_inline u32 um_origin(void *ctx)
{
	/* A fentry program can be preempted, and sched_switch must not overwrite its frames. */
	u32 slot = UM_FRAMES_CALL;
	struct um_frames *f;
	int n;

	if (!UM_IS_KNOWN(UM_FN_PATH_UMOUNT)) /* kernel addresses are hidden */
		return UM_NO_CALLER;
	f = frames.lookup(&slot);
	n = f ? um_stack(ctx, f) : -1;
	if (n >= 0)
		return um_caller(f, n);
	um_lost(UM_LOSS_STACK);
	return UM_NO_CALLER;
}

/* Whether this umount_tree may begin an operation. Within one of the task, it is a part of that. */
static __always_inline int um_may_open(struct um_task *task)
{
	if (!task || task->phase == UM_EXITING || task->phase == UM_LEAVING)
		return 1;
	/* A mount that expires during the path lookup; or the kernel skipped the hit of path_umount. */
	return task->phase == UM_INSIDE ? !task->in_umount : task->phase == UM_NS_DOWN && task->cleaning;
}

/* Whether it is nested in an operation of the task that is not over. */
static __always_inline int um_is_inside(struct um_task *task, u32 origin)
{
	u32 by = origin & UM_ORIGIN;

	if (task->phase == UM_INSIDE)
		return by != UM_BY_UMOUNT && by != UM_BY_OTHER;
	return (origin & UM_IN_CLEANUP) && task->cleaning;
}

/* Returns 0 if there is no room: that is counted, and a gap in the sequence marks the outer one. */
static __always_inline int um_park(u32 tid, struct um_task *task)
{
	if (!task->other && !task->lane && !parked.update(&tid, task))
		return 1;
	um_lost(UM_LOSS_TASK_MAP);
	task->seq++;
	return 0;
}

static __always_inline struct um_task *um_open_teardown(u32 tid, struct um_task *task, u64 mnt,
							u32 origin)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	struct um_task fresh = {.tid = tid, .tgid = id >> 32, .phase = UM_OPENING, .count = -1};

	fresh.seq = (u32)ts + 1;
	fresh.mnt = mnt;
	fresh.origin = origin;
	if (task && task->phase == UM_EXITING) { /* already followed */
		fresh.exiting = 1;
		fresh.mntns = task->mntns;
		*task = fresh;
	} else if (task) {
		fresh.lane = UM_NESTED;
		*task = fresh;
	} else {
		fresh.met_cleaning = !!(origin & UM_IN_CLEANUP);
		task = um_follow(tid, &fresh);
		if (!task)
			return 0;
	}
	um_send_opener(ts, tid, fresh.tgid, UM_TEARDOWN, ts, mnt, task->origin, um_ns_of(mnt),
		       fresh.lane);
	if (origin & UM_NO_CALLER)
		um_emit_simple(tid, task, UM_UNSEEN, UM_UNSEEN_CALLER);
	return task;
}

/* The operation of this umount_tree; a new one is in phase OPENING; 0 for none. */
static __always_inline struct um_task *um_opened(void *ctx, u32 tid, struct um_task *task, u64 mnt)
{
	u32 origin = um_origin(ctx);

	if (task && task->phase != UM_EXITING) {
		if (um_is_inside(task, origin)) {
			if (!um_park(tid, task))
				return 0;
		} else if (um_missed_end(task)) {
			um_finish(tid, task, UM_RETURNED_SYSCALL);
			task = 0;
		} else {
			return task;
		}
	}
	return um_open_teardown(tid, task, mnt, origin);
}

UM_ENTRY(umount_tree)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	u64 mnt = UM_ARG(0);

	if (!task && !um_all_there())
		return 0;
	if (um_may_open(task))
		task = um_opened(ctx, tid, task, mnt);
	if (!task)
		return 0;
	if (task->phase == UM_OPENING || !task->mnt) { /* no mount: the task was first seen asleep */
		task->mnt = mnt;
		um_describe(tid, task, mnt); /* called in one place, since the verifier needs long for it */
	}
	/* An umount(2) of which nothing was seen so far still ends as one, and its row is marked. */
	if (task->phase == UM_OPENING)
		task->phase = task->origin == UM_BY_UMOUNT ? UM_INSIDE : UM_TEARDOWN_IN;
	um_emit(tid, task, UM_TREE, mnt, (int)UM_ARG(1), 0, 0);
	return 0;
}
