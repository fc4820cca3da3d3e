/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * namespace_unlock and the grace period in it. synchronize_rcu_expedited has some 20 other
 * callers: only those inside namespace_unlock count.
 */
static __always_inline struct um_task *um_unlocking(u32 *tid)
{
	struct um_task *task = um_current(tid);

	return task && task->in_unlock ? task : 0;
}

UM_ENTRY(namespace_unlock)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (!task || task->phase == UM_EXITING)
		return 0;
	task->in_unlock = 1;
	um_tell(tid, task, UM_UNLOCK, task->mnt, 0, um_unmounted(), 0);
	return 0;
}

UM_RETURN(namespace_unlock)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);
	struct um_active *n = um_active();

	if (!task || !n)
		return 0;
	task->in_unlock = 0;
	um_tell(tid, task, UM_UNLOCK_EXIT, task->mnt, 0, 0, 0);
	if (task->phase != UM_TEARDOWN_IN)
		return 0;
	if (task->exiting) {
		task->phase = UM_NS_DOWN;
	} else if (um_is_kthread()) { /* no return to user mode, no task work */
		um_mark(tid, task, UM_RETURNED, 4);
		um_forget(tid, task);
	} else {
		task->phase = UM_LEAVING;
		__sync_fetch_and_add(&n->leaving, 1);
	}
	return 0;
}

UM_ENTRY(synchronize_rcu_expedited)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);

	if (!task)
		return 0;
	task->grace_period = UM_GP_UNTOLD;
	um_tell(tid, task, UM_RCU, task->mnt, 0, 0, 0);
	return 0;
}

/* True if somebody else's grace period did. Not called where rcu_normal is set. */
UM_RETURN(exp_funnel_lock)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);

	if (task)
		task->grace_period = (u8)UM_RETVAL(1) ? UM_GP_JOINED : UM_GP_OWN;
	return 0;
}

UM_RETURN(synchronize_rcu_expedited)
{
	u32 tid;
	struct um_task *task = um_unlocking(&tid);

	if (task)
		um_tell(tid, task, UM_RCU_EXIT, task->mnt, task->grace_period, 0, 0);
	return 0;
}
