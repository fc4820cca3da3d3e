/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "operation.h"

struct um_syscall_enter {
	u64 common;
	u64 nr;
	const char *name;
	u64 flags;
};

struct um_syscall_exit {
	u64 common;
	u64 nr;
	s64 ret;
};

int um_enter(struct um_syscall_enter *ctx)
{
	um_umount_begins(ctx->name, ctx->flags);
	return 0;
}

int um_exit(struct um_syscall_exit *ctx)
{
	um_umount_ends(ctx->ret);
	return 0;
}

/*
 * ---- the end of the shutdown: raw_syscalls:sys_enter ----
 *
 * Attached all the time where UM_ENDS_BY_WORK is not set, else only while an operation needs it.
 */

int um_next_syscall(void *ctx)
{
	struct um_active *n = um_active();
	struct um_task *task;
	u32 tid;

	if (!n || !n->leaving)
		return 0;
	tid = bpf_get_current_pid_tgid();
	task = um_task_of(tid);
	if (!task || !um_is_on_its_way_out(task))
		return 0;
	um_finish(tid, task, UM_RETURNED_SYSCALL);
	return 0;
}
