/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The end of a mount: one event per dying mount names the task that dropped the last reference. */
#include "leaving.h"
#include "mount.h"
#include "placement.h"

static __always_inline int um_is_its_own(struct um_task *task, u16 kind)
{
	if (!task || task->phase == UM_EXITING)
		return 0;
	/* Its operation began inside this cleanup_mnt, which belongs to no operation. */
	return kind == UM_CLEANUP || task->cleaning || !task->met_cleaning;
}

static __always_inline void um_cleanup(u32 tid, struct um_task *task, u16 kind, u64 mnt)
{
	u64 id = bpf_get_current_pid_tgid();
	/* The mount of the task's own operation, or of one that it leaves. Any other has no sequence. */
	int own = um_is_its_own(task, kind);
	struct um_event *e =
		um_reserve(bpf_ktime_get_ns(), tid, id >> 32, kind, own ? task->seq++ : 0);

	if (!e)
		return;
	e->mnt = mnt;
	e->cpu |= own ? task->lane : UM_FOREIGN;
#ifdef UM_OFF_MOUNT_MNT
	if (kind == UM_CLEANUP) {
		struct um_view view;
		int active = 0;

		um_read_mount(&view, mnt);
		e->ret = view.flags;
		if (own && mnt == task->mnt)
			e->ret |= UM_IS_TARGET;
		UM_READ(active, view.sb + UM_OFF_SB_ACTIVE);
		e->a = (u32)active;
		UM_READ(e->b, view.sb + UM_OFF_SB_DEV);
	}
#endif
	if (!own) /* of its own operation, the opener has it */
		bpf_get_current_comm(e->comm, sizeof(e->comm));
	um_submit(e);
}

UM_ENTRY(cleanup_mnt)
{
	u32 tid;
	u64 mnt = UM_ARG(0); /* read once: the verifier refuses an address in ctx that stays in a register */
	struct um_task *task = um_current(&tid);

	um_cleanup(tid, task, UM_CLEANUP, mnt);
	if (task)
		um_cleaning(task, mnt);
	um_stash(UM_SLOT_CLEANUP, mnt);
	return 0;
}

UM_RETURN(cleanup_mnt)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	um_cleanup(tid, task, UM_CLEANUP_EXIT, UM_RETURN_ARG(0, um_stashed(UM_SLOT_CLEANUP)));
	if (um_is_its_own(task, UM_CLEANUP_EXIT))
		um_cleaned(tid, task);
	else if (task)
		task->met_cleaning = 0;
	return 0;
}
