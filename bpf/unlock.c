/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* namespace_unlock and the grace period in it. */
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
	struct um_task *task = um_current(&tid);
	struct um_active *n = um_active();

	if (!task || !n || !task->in_unlock)
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
	struct um_task *task = um_current(&tid);

	if (task && task->in_unlock)
		um_tell(tid, task, UM_RCU, task->mnt, 0, 0, 0);
	return 0;
}

UM_RETURN(synchronize_rcu_expedited)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (task && task->in_unlock)
		um_tell(tid, task, UM_RCU_EXIT, task->mnt, 0, 0, 0);
	return 0;
}
