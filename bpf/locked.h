/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Who holds namespace_sem for writing as an umount begins to wait for it, or is about to take it. */
#ifndef UMTRACE_LOCKED_H
#define UMTRACE_LOCKED_H

#include "caller.h"
#include "tasks.h"
#include "words.h"

#if defined(UM_ADDR_NAMESPACE_SEM) && defined(UM_OFF_SEM_OWNER) && defined(UM_OFF_TASK_PID) && \
	defined(UM_OFF_TASK_COMM)
/* Bits of the owner. On PREEMPT_RT the first one is that there are waiters, else that it is a reader. */
#define UM_OWNER_BITS 7
#define UM_OWNER_READS 1

/*
 * For a reader the word is a hint, and stays when it has left. A writer clears it, and the task may
 * be gone by now: what is read of it then means nothing, but can be read.
 */
static __always_inline u64 um_lock_owner(void)
{
	u64 owner = um_word(UM_ADDR_NAMESPACE_SEM + UM_OFF_SEM_OWNER);

#ifndef UM_SEM_IS_RT
	if (owner & UM_OWNER_READS)
		return 0;
#endif
	return owner & ~(u64)UM_OWNER_BITS;
}

/* It has the lock: all of umount_tree and of the busy check is under it. */
static __always_inline void um_has_lock(struct um_task *task)
{
	if (!task->locked_ns)
		task->locked_ns = bpf_ktime_get_ns();
}

static __always_inline int um_is_namespace_sem(u64 semaphore)
{
	return semaphore == UM_ADDR_NAMESPACE_SEM;
}

static __always_inline void um_send_locked(u32 tid, struct um_task *task, u64 owner)
{
	u32 holder = um_half_word(owner + UM_OFF_TASK_PID);
	struct um_task *its = um_task_of(holder);
	struct um_event *e;
	u64 since = 0;
	int does;

	if (its && (its->phase == UM_INSIDE || its->phase == UM_TEARDOWN_IN)) {
		does = UM_LOCKED_BY + its->origin;
		since = its->locked_ns;
	} else {
		does = um_syscall_in(owner);
		does = does < 0 ? -1 : does;
	}
	e = um_reserve_of(task, tid, UM_LOCKED, bpf_ktime_get_ns());
	if (!e)
		return;
	e->a = since;
	e->b = holder;
	e->ret = does;
	bpf_probe_read_kernel_str(e->comm, sizeof(e->comm), (void *)(owner + UM_OFF_TASK_COMM));
	um_submit(e);
}

static __always_inline void um_ask_who_locks(u32 tid, struct um_task *task)
{
	u64 owner = um_lock_owner();

	if (owner)
		um_send_locked(tid, task, owner);
}
#else
#define um_has_lock(task)
#define um_ask_who_locks(tid, task)
#define um_is_namespace_sem(semaphore) 0
#endif

#endif
