/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* umount_tree: which caller it was, and the opener of what is no umount(2). */
static __always_inline u32 um_caller(struct um_frames *f, int n)
{
	u64 found = 0;
	int i;

	for (i = 0; i < 12; i++) {
		u64 ip;

		asm volatile("" : "+r"(i));
		if (i >= n)
			break;
		ip = f->ip[i];
		/* One bit per origin: callers of umount_tree are always real calls. */
		found |= UM_IN(ip, UM_FN_PATH_UMOUNT) << UM_BY_UMOUNT;
		found |= (UM_IN(ip, UM_FN_PUT_NS) | UM_IN(ip, UM_FN_DROP_COLLECTED)) << UM_BY_NS_EXIT;
		found |= UM_IN(ip, UM_FN_DETACH_MOUNTS) << UM_BY_DETACH;
		found |= UM_IN(ip, UM_FN_EXPIRY) << UM_BY_EXPIRE;
		found |= UM_IN(ip, UM_FN_DISSOLVE) << UM_BY_FD_CLOSE;
		found |= (UM_IN(ip, UM_FN_PATH_MOUNT) | UM_IN(ip, UM_FN_COPY_TREE) |
			  UM_IN(ip, UM_FN_ATTACH_RECURSIVE)) << UM_BY_FAILED_MOUNT;
	}
	if (found & (1 << UM_BY_UMOUNT))
		return UM_BY_UMOUNT;
	if (found & (1 << UM_BY_DETACH))
		return UM_BY_DETACH;
	if (found & (1 << UM_BY_EXPIRE))
		return UM_BY_EXPIRE;
	if (found & (1 << UM_BY_FD_CLOSE))
		return UM_BY_FD_CLOSE;
	if (found & (1 << UM_BY_FAILED_MOUNT))
		return UM_BY_FAILED_MOUNT;
	return found & (1 << UM_BY_NS_EXIT) ? UM_BY_NS_EXIT : UM_BY_OTHER;
}

static __always_inline u32 um_origin(void *ctx)
{
	/* A fentry program can be preempted: sched_switch must not write over its frames. */
	u32 slot = UM_FRAMES_CALL;
	struct um_frames *f = frames.lookup(&slot);
	int n = f ? um_stack(ctx, f) : -1;

	return n < 0 ? UM_BY_OTHER : um_caller(f, n);
}

static __always_inline struct um_task *um_open_teardown(void *ctx, u32 tid, struct um_task *task,
							u64 mnt)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	struct um_task fresh = {.tgid = id >> 32, .phase = UM_OPENING, .count = -1};

	fresh.seq = (u32)ts + 1;
	fresh.mnt = mnt;
	if (task) { /* EXITING: already followed */
		fresh.exiting = 1;
		fresh.mntns = task->mntns;
		*task = fresh;
	} else {
		if (um_follow(tid, &fresh))
			return 0;
		task = tasks.lookup(&tid);
		if (!task)
			return 0;
	}
	task->origin = um_origin(ctx);
	um_send_opener(ts, tid, fresh.tgid, UM_TEARDOWN, ts, mnt, task->origin, um_ns_of(mnt));
	return task;
}

UM_ENTRY(umount_tree)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	u64 mnt = UM_ARG(0);
	int known = 1;

	if (task && um_is_stale(task)) {
		um_is_back(tid, task, 1);
		task = 0;
	}
	if (!task || task->phase == UM_EXITING) {
		task = um_open_teardown(ctx, tid, task, mnt);
		if (!task)
			return 0;
		known = 0;
	} else if (!task->mnt) { /* a namespace exit that was first seen asleep */
		task->mnt = mnt;
		known = 0;
	}
	if (!known) /* in one place: the verifier takes long for it */
		um_describe(tid, task, mnt);
	/* An umount(2) of which nothing was seen so far ends as one: its row is marked. */
	if (task->phase == UM_OPENING)
		task->phase = task->origin == UM_BY_UMOUNT ? UM_INSIDE : UM_TEARDOWN_IN;
	um_tell(tid, task, UM_TREE, mnt, (int)UM_ARG(1), 0, 0);
	return 0;
}
