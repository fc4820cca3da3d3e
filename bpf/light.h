/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How an umount(2) begins and ends with --probes light. It stores its times in the task's entry, and
 * sends them in one event when it is over.
 */
#ifndef UMTRACE_LIGHT_H
#define UMTRACE_LIGHT_H

#include "mount.h"
#include "tasks.h"

/* Whether the task has work to do on its way out; without BTF that is not known. */
static __always_inline int um_has_works(void)
{
#ifdef UM_OFF_TASK_WORKS
	return um_word((u64)bpf_get_current_task() + UM_OFF_TASK_WORKS) != 0;
#else
	return 1;
#endif
}

static __always_inline void um_send_identity(u32 tid, struct um_task *task, u64 ts)
{
#ifdef UM_OFF_MOUNT_MNT
	struct um_event *e = um_reserve_of(task, tid, UM_MOUNT, ts);

	if (!e)
		return;
	e->mnt = task->mnt;
	e->ret = task->light.flags;
	e->a = task->light.mount_id;
	e->b = task->light.dev;
	__builtin_memcpy(e->comm, task->light.fstype, sizeof(e->comm));
	um_submit(e);
#endif
}

/* Everything about an umount(2) that succeeded: its exit, the RCU wait, the mounts, and its end. */
static __always_inline void um_send_ended(u32 tid, struct um_task *task, u64 ts, u64 how)
{
	struct um_event *e;

	if (task->in_umount || task->in_unlock || task->in_rcu) /* a hit was skipped: a gap marks the row */
		task->seq++;
	if (task->mnt)
		um_send_identity(tid, task, ts);
	e = um_reserve_of(task, tid, UM_ENDED, ts);
	if (!e)
		return;
	e->mnt = task->mnt;
	e->ret = task->n_mounts;
	e->a = how;
	e->b = task->grace_period | task->light.waits << UM_WAITS_SHIFT;
	*(u64 *)e->comm = task->light.called_ns;
	*(u64 *)(e->comm + 8) = task->light.rcu_ns;
	um_submit(e);
}

static __always_inline void um_over(u32 tid, struct um_task *task, u64 ts, u64 how)
{
	if (task->by_function)
		um_emit_simple(tid, task, UM_RETURNED, how | UM_UNSEEN_PUTS);
	else
		um_send_ended(tid, task, ts, how | UM_UNSEEN_PUTS);
	um_forget(tid, task);
}

static __always_inline void um_finish(u32 tid, struct um_task *task, u64 how)
{
	um_over(tid, task, bpf_ktime_get_ns(), how | UM_UNSEEN_CLEANUP);
}

static __always_inline void um_umount_begins(const char *name, u64 flags)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	u32 tid = id, tgid = id >> 32;
	struct um_task *task = um_task_of(tid);

	if (task) {
		if (task->phase == UM_LEAVING)
			um_finish(tid, task, UM_RETURNED_SYSCALL);
		else
			um_forget(tid, task);
	}
	task = um_place(tid);
	if (!task)
		return;
	task->tgid = tgid;
	task->seq = (u32)ts + 1;
	task->phase = UM_INSIDE;
	task->origin = UM_BY_UMOUNT;
	task->flags = flags;
	task->n_mounts = -1;
	um_begun(task, UM_ENTER, ts);
	um_followed(tid, task);
	um_send_path(ts, tid, name);
	um_send_opener(ts, tid, tgid, UM_ENTER, ts, 0, flags, um_mntns(), 0);
}

/* With ``unended``, the task may have no work to do that would end the operation. */
static __always_inline void um_leave(struct um_task *task, int unended)
{
	struct um_active *n = um_active();

#ifndef UM_OFF_TASK_WORKS
	unended = 1;
#endif

	if (!n)
		return;
	task->phase = UM_LEAVING;
	task->leaves = 1;
	task->unended = unended;
	__sync_fetch_and_add(&n->leaving, 1);
	if (unended)
		__sync_fetch_and_add(&n->unended, 1);
}

static __always_inline void um_send_exit(u64 id, u64 ts, struct um_task *task, int ret)
{
	struct um_event *e = um_reserve(ts, id, id >> 32, UM_EXIT, task ? um_next(task, UM_EXIT, ts) : 0);

	if (!e)
		return;
	e->ret = ret;
	if (!task) { /* it began before the probes */
		e->a = UM_EXIT_ALONE;
		bpf_get_current_comm(e->comm, sizeof(e->comm));
	}
	um_submit(e);
}

static __always_inline void um_umount_ends(s64 ret)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	u32 tid = id;
	struct um_task *task = um_task_of(tid);

	if (task && (task->by_function || task->phase != UM_INSIDE))
		return;
	if (!task && !um_all_there())
		return;
	if (!task || ret < 0) {
		um_send_exit(id, ts, task, ret);
		if (task)
			um_forget(tid, task);
		um_wake_reader(ret); /* last: where programs can be preempted, the reader runs at once */
		return;
	}
	task->light.called_ns = ts;
	um_stands(task, UM_EXIT, ts);
	if (um_has_works())
		um_leave(task, 0);
	else
		um_over(tid, task, ts, UM_RETURNED_NO_WORK);
}

#endif
