/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * namespace_unlock and the grace period in it. synchronize_rcu_expedited has some 20 other callers,
 * so only calls inside namespace_unlock count.
 */
#include "armed.h"
#include "grace_period.h"
#include "leaving.h"
#include "placement.h"
#include "spread.h"
#include "victims.h"

static __always_inline struct um_task *um_unlocking(u32 *tid)
{
	struct um_task *task = um_current(tid);

	return task && task->in_unlock ? task : 0;
}

/*
 * How often the task went off CPU. Where exp_funnel_lock is inlined, no probe shows the kind of an
 * expedited grace period, only whether the task slept in it.
 */
static __always_inline u64 um_switches(void)
{
#ifdef UM_OFF_TASK_SWITCHES /* nvcsw and nivcsw lie side by side */
	u64 counts = (u64)bpf_get_current_task() + UM_OFF_TASK_SWITCHES;

	return um_word(counts) + um_word(counts + 8);
#else
	return 0;
#endif
}

UM_ENTRY(namespace_unlock)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	struct um_victims victims = {.mounts = ~0ULL};
	u32 spaces;

	if (!task || task->phase == UM_EXITING)
		return 0;
	task->in_unlock = 1;
	um_count_victims(task, &victims);
	spaces = um_spread_ends(tid, task, victims.mounts);
	um_note(tid, task, UM_UNLOCK, task->mnt, victims.held, victims.mounts, spaces);
	return 0;
}

UM_RETURN(namespace_unlock)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);
	int more;

	if (!task)
		return 0;
	task->in_unlock = 0;
	task->locked_ns = 0;
	um_note(tid, task, UM_UNLOCK_EXIT, task->mnt, 0, 0, 0);
	if (task->phase != UM_TEARDOWN_IN)
		return 0;
	if (task->lane) {
		um_inner_ends(tid, task);
		return 0;
	}
#ifndef UM_ENDS_BY_WORK
	if (task->exiting) {
		task->phase = UM_NS_DOWN;
		return 0;
	}
#endif
	if (um_is_kthread()) { /* it has no return to user mode, and so no task work */
		um_finish(tid, task, UM_RETURNED_KTHREAD);
	} else {
		/* A file that is closed has a reference of its own to the mount, and puts it next. */
		more = task->origin == UM_BY_FD_CLOSE || task->origin == UM_BY_OTHER;
		if (more && um_references(task->mnt) > 1)
			more = 0; /* that put will not be the last one */
		um_begin_exit_work(tid, task, more);
	}
	return 0;
}

UM_ENTRY(synchronize_rcu_expedited)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);

	if (!task)
		return 0;
	task->grace_period = UM_GP_UNKNOWN;
	task->in_rcu = 1;
	task->switches = um_switches();
	um_gp_begins(task, UM_GP_EXPEDITED_SEQ);
	um_note(tid, task, UM_RCU, task->mnt, 0, 0, 0);
	um_send_notes(tid, task, 5); /* a lazy one checks nothing, and has three */
	return 0;
}

static __always_inline void um_waits_normally(void)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);

	if (!task || !task->in_rcu)
		return;
	task->grace_period = UM_GP_NORMAL;
	um_gp_begins(task, UM_GP_NORMAL_SEQ);
}

UM_ENTRY(synchronize_rcu_normal)
{
	um_waits_normally();
	return 0;
}

UM_ENTRY(__wait_rcu_gp)
{
	um_waits_normally();
	return 0;
}

/* Returns true if the grace period of another task was enough. Not called where rcu_normal is set. */
UM_RETURN(exp_funnel_lock)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);

	if (!task)
		return 0;
	task->grace_period = (u8)UM_RETVAL(1) ? UM_GP_JOINED : UM_GP_OWN;
	um_gp_is(task, UM_RETURN_ARG(0, 0));
	return 0;
}

UM_RETURN(synchronize_rcu_expedited)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);

	if (!task)
		return 0;
	task->in_rcu = 0;
	if (task->grace_period == UM_GP_UNKNOWN && um_switches() != task->switches)
		task->grace_period = UM_GP_SLEPT;
	um_note(tid, task, UM_RCU_EXIT, task->mnt, task->grace_period, um_gp_waited_for(task), 0);
	return 0;
}
