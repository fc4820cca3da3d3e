/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The end of a mount: one event per dying mount names the task that dropped the last reference. */
#include "armed.h"
#include "claims.h"
#include "leaving.h"
#include "mount.h"
#include "placement.h"
#include "superblock.h"

static __always_inline int um_is_its_own(struct um_task *task, u16 kind)
{
	if (!task || task->phase == UM_EXITING)
		return 0;
	/* Its operation began inside this cleanup_mnt, which belongs to no operation. */
	return kind == UM_CLEANUP || task->cleaning || !task->met_cleaning;
}

static __always_inline void um_send_cleanup(u32 tid, struct um_task *task, u16 kind, u64 mnt, u32 active,
					    int own)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	struct um_event *e;

	if (own) {
		um_notes_first(tid, task);
		task->cleaned_ns = ts;
	}
	/* The mount of the task's own operation, or of one that it leaves. Any other has no sequence. */
	e = um_reserve(ts, tid, id >> 32, kind, own ? um_next(task, kind, ts) : 0);
	if (!e)
		return;
	e->mnt = mnt;
	e->cpu |= own ? task->lane : UM_FOREIGN;
#ifdef UM_OFF_MOUNT_MNT
	if (kind == UM_CLEANUP) {
		struct um_view view;

		um_read_mount(&view, mnt);
		e->ret = view.flags;
		if (own && mnt == task->mnt)
			e->ret |= UM_IS_TARGET;
		e->a = active;
		UM_READ(e->b, view.sb + UM_OFF_SB_DEV);
		um_vacates(e->b, ts);
	}
#endif
	if (!own) /* of its own operation, the opener has it */
		bpf_get_current_comm(e->comm, sizeof(e->comm));
	um_submit(e);
}

/* The tree of a container has thousands of mounts, of which one at a time has nothing to show. */
static __always_inline int um_is_silent(struct um_task *task, u64 mnt, u32 active, int own)
{
	return own && active > 1 && !task->cleaning && mnt != task->mnt;
}

UM_ENTRY(cleanup_mnt)
{
	u32 tid, active = 0;
	u64 mnt = UM_ARG(0); /* read once: the verifier refuses an address in ctx that stays in a register */
	struct um_task *task = um_current(&tid);
	int own = um_is_its_own(task, UM_CLEANUP);

	um_disarm(mnt);
#ifdef UM_OFF_MOUNT_MNT
	u64 sb;

	active = um_sb_of(mnt, &sb);
	if (active > 1)
		um_lives_on(own ? task : 0, sb, active);
#endif
	if (um_is_silent(task, mnt, active, own)) {
		task->silent++;
		task->silently = 1;
	} else {
		um_send_cleanup(tid, task, UM_CLEANUP, mnt, active, own);
	}
	if (task && !task->cleaning)
		task->cleaned = mnt;
	else
		um_stash(UM_SLOT_CLEANUP, mnt);
	if (task)
		um_cleaning(task, mnt);
	return 0;
}

UM_RETURN(cleanup_mnt)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	int own = um_is_its_own(task, UM_CLEANUP_EXIT), outermost = task && task->cleaning == 1;

	if (own && outermost && task->silently) {
		task->silently = 0;
		task->silent_ended++;
		if (um_more_follow(task)) /* the last one has the time */
			return 0;
		task->cleaned_ns = bpf_ktime_get_ns();
	} else {
		u64 mnt = UM_RETURN_ARG(0, outermost ? task->cleaned : um_stashed(UM_SLOT_CLEANUP));

		if (own && um_may_be_last(task)) {
			task->cleaned_ns = bpf_ktime_get_ns();
			um_note_at(tid, task, UM_CLEANUP_EXIT, task->cleaned_ns, mnt, 0, 0, 0);
		} else {
			um_send_cleanup(tid, task, UM_CLEANUP_EXIT, mnt, 0, own);
		}
	}
	if (own)
		um_cleaned(tid, task);
	else if (task)
		task->met_cleaning = 0;
	return 0;
}
