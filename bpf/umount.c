/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * path_umount and the busy check in it. A handler first drops hits of tasks that are not followed,
 * since mount(2), bind mounts and pivot_root call the same functions, too.
 */
#include "armed.h"
#include "locked.h"
#include "operation.h"
#include "placement.h"
#include "words.h"

/*
 * The function of the system call. Its only argument points at the registers of the caller, and two
 * of them hold the arguments of umount(2).
 */
#ifdef UM_SYSCALL_FUNCTION
static __always_inline void um_umount_called(const char *regs)
{
#if defined(__aarch64__)
	u64 x0 = um_word((u64)regs), x1 = um_word((u64)regs + 8);

	um_umount_begins((const char *)x0, x1);
#else
	u64 rsi = um_word((u64)regs + 104), rdi = um_word((u64)regs + 112);

	um_umount_begins((const char *)rdi, rsi);
#endif
}

#if defined(__aarch64__)
UM_ENTRY(__arm64_sys_umount)
{
	um_umount_called((const char *)UM_ARG(0));
	return 0;
}

UM_RETURN(__arm64_sys_umount)
{
	um_umount_ends((int)UM_RETVAL(1));
	return 0;
}
#else
UM_ENTRY(__x64_sys_umount)
{
	um_umount_called((const char *)UM_ARG(0));
	return 0;
}

UM_RETURN(__x64_sys_umount)
{
	um_umount_ends((int)UM_RETVAL(1));
	return 0;
}

/* The arguments of a 32-bit program are in ebx and ecx. */
UM_ENTRY(__ia32_sys_umount)
{
	const char *regs = (const char *)UM_ARG(0);
	u32 name = um_half_word((u64)regs + 40), flags = um_half_word((u64)regs + 88);

	um_umount_begins((const char *)(u64)name, flags);
	return 0;
}

UM_RETURN(__ia32_sys_umount)
{
	um_umount_ends((int)UM_RETVAL(1));
	return 0;
}
#endif
#endif

#ifndef UM_LIGHT
UM_ENTRY(path_umount)
{
	u32 tid;
	u64 mnt = um_mount_of_path(UM_ARG(0));
	int flags = (int)UM_ARG(1);
	struct um_task *task = um_current(&tid);

	um_umount_puts(mnt);
	if (task && task->phase == UM_LEAVING) {
		um_finish(tid, task, UM_RETURNED_SYSCALL);
		task = 0;
	}
	if (!task) { /* the entry of the system call was not seen: oldumount, or a skipped hit */
		struct um_task fresh = {
			.phase = UM_INSIDE, .by_function = 1, .count = -1, .origin = UM_BY_UMOUNT};
		u64 ts = bpf_ktime_get_ns();

		if (!um_all_there())
			return 0;
		fresh.tgid = bpf_get_current_pid_tgid() >> 32;
		fresh.seq = (u32)ts + 1;
		um_begun(&fresh, UM_ENTER, ts);
		fresh.flags = flags;
		task = um_follow(tid, &fresh);
		if (task)
			um_send_opener(ts, tid, fresh.tgid, UM_ENTER, ts, 0, flags, um_mntns(), 0);
	}
	if (!task || task->phase != UM_INSIDE)
		return 0;
	task->count = -1;
	task->in_umount = 1;
	task->mnt = mnt;
	if (task->mnt) { /* both are sent, since the task may wait for the lock */
		um_note(tid, task, UM_PATH_UMOUNT, task->mnt, flags, 0, 0);
		um_describe(tid, task, task->mnt, 1);
	} else {
		um_emit(tid, task, UM_PATH_UMOUNT, 0, flags, 0, 0);
	}
#ifndef UM_LOCK_WAITS
	um_ask_who_locks(tid, task);
#endif
	return 0;
}

/* A task begins to wait for a semaphore, to write. */
UM_ENTRY(rwsem_down_write_slowpath)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (task && task->in_umount && um_is_namespace_sem(um_to_scalar(UM_ARG(0))))
		um_ask_who_locks(tid, task);
	return 0;
}

UM_RETURN(path_umount)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	int ret = (int)UM_RETVAL(2);
	u64 bits = 0;
	u32 left;

	if (!task || task->phase != UM_INSIDE)
		return 0;
	task->in_umount = 0;
	left = um_umount_returns(task->mnt, ret, &bits);
	um_note(tid, task, UM_PATH_UMOUNT_EXIT, task->mnt, ret, bits, left);
	if (!task->by_function)
		return 0;
	um_emit(tid, task, UM_EXIT, task->mnt, ret, 2, 0);
	if (ret < 0)
		um_forget(tid, task);
	else
		um_begin_exit_work(tid, task, 0);
	um_wake_reader(ret); /* last, as in um_umount_ends */
	return 0;
}

/* ---- the busy check ---- */

/* Each mount of a tree that is put passes mnt_get_count as well: one test for all tasks is cheaper. */
static __always_inline int um_any_checks(void)
{
	struct um_active *n = um_active();

	return n && n->checking;
}

static __always_inline void um_checks(int change)
{
	struct um_active *n = um_active();

	if (n)
		__sync_fetch_and_add(&n->checking, change);
}

UM_ENTRY(propagate_mount_busy)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (!task || task->phase != UM_INSIDE)
		return 0;
	if (!task->in_check)
		um_checks(1);
	task->in_check = 1;
	task->count = -1;
	task->busy_ns = 0;
	um_has_lock(task);
	um_note(tid, task, UM_CHECK, UM_ARG(0), 0, 0, 0);
	return 0;
}

UM_RETURN(propagate_mount_busy)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	int ret = (int)UM_RETVAL(2);

	if (!task || !task->in_check)
		return 0;
	task->in_check = 0;
	um_checks(-1);
	if (ret && task->count > 2)
		um_arm(task->mnt);
	um_note(tid, task, UM_CHECKED, task->mnt, ret, task->count < 0 ? ~0ULL : task->count,
		task->busy_ns);
	return 0;
}

UM_COUNT_ENTRY(mnt_get_count)
{
	u32 tid;
	struct um_task *task;

	if (!um_any_checks())
		return 0;
	task = um_current(&tid);
	if (task && task->in_check)
		task->counted = UM_ARG(0);
	return 0;
}

UM_RETURN(mnt_get_count)
{
	u32 tid;
	struct um_task *task;
	int count;
	u64 mnt;

	if (!um_any_checks())
		return 0;
	task = um_current(&tid);
	if (!task || !task->in_check)
		return 0;
	count = (int)UM_RETVAL(1);
	mnt = UM_RETURN_ARG(0, task->counted);
	if (mnt == task->mnt)
		task->count = count;
	else if (count > 1)
		task->busy_ns = um_ns_of(mnt);
	return 0;
}
#endif
