/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* umount_tree: its caller, and the opener of an operation that is no umount(2). */
#include "leaving.h"
#include "locked.h"
#include "mount.h"
#include "origin.h"
#include "placement.h"
#include "spread.h"

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
	um_begun(&fresh, UM_TEARDOWN, ts);
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
		um_describe(tid, task, mnt, 0); /* called in one place, since the verifier needs long for it */
	}
	/* An umount(2) of which nothing was seen so far still ends as one, and its row is marked. */
	if (task->phase == UM_OPENING)
		task->phase = task->origin == UM_BY_UMOUNT ? UM_INSIDE : UM_TEARDOWN_IN;
	um_has_lock(task);
	um_tree_begins(task, mnt, (int)UM_ARG(1));
	um_note(tid, task, UM_TREE, mnt, (int)UM_ARG(1), 0, 0);
	return 0;
}

#ifdef UM_SPREAD
UM_COUNT_ENTRY(propagate_umount)
{
	u32 tid;
	struct um_spread *s = um_spread();

	if (s && um_current(&tid))
		s->head = UM_ARG(0);
	return 0;
}

UM_RETURN(propagate_umount)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	struct um_spread *s = um_spread();

	if (s && task && task->spreads)
		um_tree_spreads(task, UM_RETURN_ARG(0, s->head));
	return 0;
}
#endif
