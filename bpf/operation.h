/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How an operation of umount(2) begins and ends, for each probe that sees one of the two. */
#ifndef UMTRACE_OPERATION_H
#define UMTRACE_OPERATION_H

#ifndef UM_LIGHT /* which has its own: light.h */
#include "leaving.h"

/* Where context switches are probed, none may send an event before the opener. */
#ifdef UM_ENDS_BY_WORK
#define UM_BEGINS UM_INSIDE
#else
#define UM_BEGINS UM_OPENING
#endif

static __always_inline void um_umount_begins(const char *name, u64 flags)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	u32 tid = id, tgid = id >> 32;
	struct um_active *n = um_active();
	struct um_task *task, *old = n && n->followed ? um_task_of(tid) : 0;

	/* um_next_syscall does the same: the order in which the kernel calls the two programs is open. */
	if (old) {
		int leaving = um_is_on_its_way_out(old);

		um_closing(old);
		if (leaving)
			um_returned(tid, old, UM_RETURNED_SYSCALL);
		um_notes_first(tid, old);
		um_forget(tid, old);
	}
	task = um_place(tid);
	if (!task)
		return;
	task->tgid = tgid;
	task->seq = (u32)ts + 1; /* the first number is the ENTER event's own */
	task->phase = UM_BEGINS;
	task->origin = UM_BY_UMOUNT;
	task->flags = flags;
	um_begun(task, UM_ENTER, ts);
	um_followed(tid, task);
	um_send_path(ts, tid, name);
	um_send_opener(ts, tid, tgid, UM_ENTER, ts, 0, flags, um_mntns(), 0);
	task->phase = UM_INSIDE;
}

/* The operation began before the probes. */
static __always_inline void um_send_exit_alone(u64 id, u64 ts, int ret)
{
	struct um_event *e = um_reserve(ts, id, id >> 32, UM_EXIT, 0);

	if (!e)
		return;
	e->ret = ret;
	e->a = UM_EXIT_ALONE;
	um_own_name(e->comm);
	um_submit(e);
}

static __always_inline void um_umount_ends(s64 ret)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	u32 tid = id;
	struct um_task *task = um_task_of(tid);

	/* The kernel skipped the entry of the system call, so the probes of path_umount have ended it. */
	if (task && task->by_function && task->phase == UM_LEAVING)
		return;
	if (!task && !um_all_there())
		return;
	if (task)
		um_closing(task);
	if (!task)
		um_send_exit_alone(id, ts, ret);
	else
		um_note_at(tid, task, UM_EXIT, ts, 0, ret, task->by_function ? UM_EXIT_FROM_PATH : 0, 0);
	if (task)
		um_send_notes(tid, task, 4);
	if (task && ret < 0) /* nothing was unmounted: no shutdown is due */
		um_forget(tid, task);
	else if (task)
		um_begin_exit_work(tid, task, 0);
	/*
	 * The last thing: where programs can be preempted, the reader runs at once, and that context
	 * switch must not count as a wait of the umount.
	 */
	um_wake_reader(ret);
}

#endif
#endif
