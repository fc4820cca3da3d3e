/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What a task waits for, from its kernel stack at sched:sched_switch. A mount namespace that ends
 * with its last task has no system call: put_mnt_ns() or namespace_unlock() on the stack of an
 * exiting task shows it.
 *
 * Where function probes show all this (UM_ENDS_BY_WORK, and the kind of grace period), context
 * switches are not probed, since the walk of a stack would be the largest cost of an umount.
 */
#include "leaving.h"

static __always_inline void um_send_off(u32 tid, struct um_task *task, int state, u64 on_stack,
					u32 unknown)
{
	struct um_event *e;

	task->on_stack = on_stack;
	e = um_reserve_of(task, tid, UM_OFF_CPU, bpf_ktime_get_ns());
	if (!e)
		return;
	e->ret = state;
	e->a = on_stack;
	e->b = unknown;
	um_submit(e);
}

/*
 * Whether the task, which does no task work now, has none left either. It may have been preempted on
 * the way out, before the work, and the stack is the same as after it. Without the list of work, the
 * next system call ends the operation.
 */
static __always_inline int um_has_worked(struct um_frames *f, int n)
{
#ifdef UM_OFF_TASK_WORKS
	return um_is_whole(f, n) && !um_word((u64)bpf_get_current_task() + UM_OFF_TASK_WORKS);
#else
	return 0;
#endif
}

static __always_inline void um_leaving_off(struct um_frames *f, int n, u32 tid,
					   struct um_task *task)
{
	if (n < 0 || !UM_KNOWS_TASK_WORK)
		return;
	if (!um_in_task_work(f, n)) {
		if (um_has_worked(f, n))
			um_finish(tid, task, UM_RETURNED_USER);
	} else if (!task->shutdown) {
		task->shutdown = 1;
		um_send_off(tid, task, 0, UM_ON_TASK_WORK, 0);
	}
}

static __always_inline void um_ns_goes_down(u32 tid, struct um_task *task)
{
	u64 ts = bpf_ktime_get_ns();

	task->phase = UM_NS_DOWN;
	task->begun_ns = ts;
	um_send_opener(ts, tid, task->tgid, UM_NS_EXIT, um_next(task, UM_NS_EXIT, ts), 0,
		       task->n_mounts, task->mntns, 0);
}

static __always_inline void um_dead(u32 tid, struct um_task *task)
{
	if (task->phase != UM_EXITING)
		um_emit_simple(tid, task, UM_DEAD, 0);
	um_forget(tid, task);
}

static __always_inline void um_switch_out(void *ctx, u32 tid, struct um_task *task, int state)
{
	u32 slot = UM_FRAMES_SWITCH;
	struct um_frames *f = frames.lookup(&slot);
	u64 on_stack = 0;
	int n;

	if (state & UM_TASK_DEAD) {
		um_dead(tid, task);
		return;
	}
	if (task->phase == UM_OPENING)
		return;
#ifdef UM_FUNCTIONS
	/*
	 * cleanup_mnt and umount_tree are probed, so the stack is not needed for the end of the
	 * shutdown, or for the end of a mount namespace. It would be wrong for both: a kretprobe
	 * hides the callers from the unwinder, and the program that sends the opener of the
	 * namespace may be what is preempted here.
	 */
	if (task->phase == UM_LEAVING || task->phase == UM_EXITING)
		return;
#endif
	n = f ? um_stack(ctx, f) : -1;
	if (n < 0)
		um_lost(UM_LOSS_STACK);
	if (!f)
		return;
	if (task->phase == UM_LEAVING) {
		um_leaving_off(f, n, tid, task);
		return;
	}
	on_stack = um_on_stack(f, n);
	if (task->in_unlock)
		on_stack |= UM_ON_UNLOCK;
	if (task->phase == UM_EXITING) {
		if (!(on_stack & (UM_ON_PUT_NS | UM_ON_UNLOCK)))
			return;
		um_ns_goes_down(tid, task);
	}
	if (task->phase == UM_NS_PUT && n >= 0 && UM_KNOWS_TASK_WORK &&
	    !(on_stack & (UM_ON_PUT_NS | UM_ON_UNLOCK)) && !um_in_task_work(f, n) &&
	    um_has_worked(f, n)) {
		um_finish(tid, task, UM_RETURNED_USER);
		return;
	}
	um_send_off(tid, task, state, on_stack, n < 0);
	task->off = 1;
}

#ifndef UM_FUNCTIONS
#define UM_UNLOCK_WITHIN 10 /* frames: namespace_unlock is some 6 frames from the switch */
#define UM_TASK_UNINTERRUPTIBLE 2

/*
 * Whether the namespace_unlock on the stack ends a mount namespace. Where it is a tail call of
 * put_mnt_ns, that function is no longer on the stack, but its callers are.
 */
static __always_inline int um_puts_ns(struct um_frames *f, int n)
{
	u64 puts = 0, mounts = 0, ip;
	int i;

	for (i = 0; i < UM_SCANNED; i++) {
		asm volatile("" : "+r"(i));
		if (i >= n)
			break;
		ip = f->ip[i];
		puts |= UM_IN(ip, UM_FN_PUT_NS) | UM_IN(ip, UM_FN_EVICT) |
			UM_IN(ip, UM_FN_SWITCH_NS) | UM_IN(ip, UM_FN_MOUNTS_RELEASE) |
			UM_IN(ip, UM_FN_FREE_NSPROXY);
		/* A mount namespace that the kernel made for its own use, to resolve a path in it. */
		mounts |= UM_IN(ip, UM_FN_MOUNT_SUBTREE) | UM_IN(ip, UM_FN_GET_TREE);
	}
	return puts && !mounts;
}

/* Most uninterruptible sleeps wait for a disk or a page; a wait for a grace period is not I/O. */
static __always_inline int um_waits_for_io(void)
{
	u8 byte = 0;
#ifdef UM_BIT_TASK_IN_IOWAIT
	bpf_probe_read_kernel(&byte, sizeof(byte),
			      (char *)bpf_get_current_task() + UM_BIT_TASK_IN_IOWAIT / 8);
	byte &= 1 << UM_BIT_TASK_IN_IOWAIT % 8;
#endif
	return byte;
}

static __always_inline int um_sleeps_in_unlock(struct um_frames *f, int n)
{
	u64 found = 0;
	int i;

	for (i = 0; i < UM_UNLOCK_WITHIN; i++) {
		asm volatile("" : "+r"(i));
		if (i >= n)
			break;
		found |= UM_IN(f->ip[i], UM_FN_UNLOCK);
	}
	return found != 0;
}

/*
 * A task that is not followed goes to sleep. A mount namespace ends with its last reference, and a
 * task can drop that without an exit: by setns(), unshare(), or the close() of a file of nsfs. Only
 * its wait for a grace period shows that, so the operation begins here.
 */
static __always_inline void um_found_on_stack(void *ctx, u32 tid, int state)
{
	u32 slot = UM_FRAMES_SWITCH;
	struct um_frames *f = state == UM_TASK_UNINTERRUPTIBLE ? frames.lookup(&slot) : 0;
	struct um_task fresh = {.phase = UM_NS_PUT, .n_mounts = -1, .leaves = 1, .off = 1};
	struct um_active *active_tasks = um_active();
	struct um_task *task;
	u64 ts;
	int n;

	/* Kernel threads sleep like this most of the time, and end no mount namespace in such a call. */
	if (!f || !active_tasks || um_is_kthread() || um_waits_for_io())
		return;
	/* The innermost frames are walked first: they exclude nearly all tasks at a low cost. */
	n = bpf_get_stack(ctx, f->ip, UM_UNLOCK_WITHIN * sizeof(u64), 0);
	if (n < 0 || !um_sleeps_in_unlock(f, n >> 3))
		return;
	n = um_stack(ctx, f);
	if (!um_puts_ns(f, n))
		return;
	ts = bpf_ktime_get_ns();
	fresh.tgid = bpf_get_current_pid_tgid() >> 32;
	fresh.seq = (u32)ts + 1;
	um_begun(&fresh, UM_NS_EXIT, ts);
	task = um_follow(tid, &fresh);
	if (!task)
		return;
	__sync_fetch_and_add(&active_tasks->leaving, 1);
	um_send_opener(ts, tid, fresh.tgid, UM_NS_EXIT, ts, 0, -1, 0, 0);
	um_send_off(tid, task, state, um_on_stack(f, n), 0);
}
#else
#define um_found_on_stack(ctx, tid, state)
#endif
#ifdef UM_FUNCTIONS
#define UM_MEETS 0
#else
#define UM_MEETS UM_KNOWS_TASK_WORK /* without addresses of functions, a stack shows nothing */
#endif

static __always_inline int um_is_traced(struct um_active *n)
{
	return UM_MEETS || n->followed;
}

static __always_inline void um_switch_in(u32 tid)
{
	struct um_task *task = um_task_of(tid);

	if (!task || !task->off)
		return;
	task->off = 0;
	um_emit_simple(tid, task, UM_ON_CPU, 0);
}

/* The raw tracepoint is the cheaper of the two, and needs offsets in struct task_struct. */
#ifdef UM_OFF_TASK_STATE
int um_switch(struct bpf_raw_tracepoint_args *ctx)
{
	struct um_active *n = um_active();
	struct um_task *task;
	u32 prev, next = 0, state = 0;

	if (!n || !um_is_traced(n))
		return 0;
	prev = bpf_get_current_pid_tgid();
	task = n->followed ? um_task_of(prev) : 0;
	if (UM_MEETS || task)
		bpf_probe_read_kernel(&state, sizeof(state),
				      (char *)bpf_get_current_task() + UM_OFF_TASK_STATE);
	if (task)
		um_switch_out(ctx, prev, task, state);
	else
		um_found_on_stack(ctx, prev, state);
	if (!n->followed)
		return 0;
	bpf_probe_read_kernel(&next, sizeof(next), (char *)ctx->args[2] + UM_OFF_TASK_PID);
	if (next)
		um_switch_in(next);
	return 0;
}
#else
/* The state as the event reports it: EXIT_DEAD, EXIT_ZOMBIE. TASK_DEAD there is an idle task. */
#define UM_REPORTED_DEAD 0x30

/* The event's format gives the offsets (UM_AT_*): until 6.1, PREEMPT_RT has a longer header. */
int um_switch(char *ctx)
{
	struct um_active *n = um_active();
	u32 prev = *(u32 *)(ctx + UM_AT_PREV_PID), next = *(u32 *)(ctx + UM_AT_NEXT_PID);
	int state = *(u64 *)(ctx + UM_AT_PREV_STATE) & ~UM_TASK_DEAD;
	struct um_task *task;

	if (!n || !um_is_traced(n))
		return 0;
	task = n->followed ? um_task_of(prev) : 0;
	if (task)
		um_switch_out(ctx, prev, task, state & UM_REPORTED_DEAD ? UM_TASK_DEAD : state);
	else
		um_found_on_stack(ctx, prev, state);
	if (next && n->followed)
		um_switch_in(next);
	return 0;
}
#endif

/* ---- tasks that end: sched:sched_process_exit ---- */

static __always_inline void um_task_exited(u32 tid)
{
	struct um_task *old = um_task_of(tid);
	int leaving;
	u16 phase;

	if (!old)
		return;
	um_end_parked(tid, old, UM_RETURNED_DEATH);
	phase = old->phase;
	leaving = um_is_on_its_way_out(old);
	um_closing(old);
	if (leaving) {
		um_returned(tid, old, UM_RETURNED_DEATH);
	} else if (phase == UM_INSIDE) {
		um_notes_first(tid, old);
		um_emit_simple(tid, old, UM_DEAD, 0);
	}
	um_forget(tid, old);
}

/* The task may end its mount namespace. It is read now, since the task drops its nsproxy soon. */
static __always_inline void um_follow_exit(u64 id)
{
	u32 mntns = um_mntns();
	struct um_task fresh = {.tgid = id >> 32, .phase = UM_EXITING, .mntns = mntns};

	if (!mntns || mntns == UM_HOST_MNTNS || !UM_KNOWS_TASK_WORK)
		return;
	fresh.seq = bpf_ktime_get_ns();
	fresh.n_mounts = um_nr_mounts();
	um_follow((u32)id, &fresh);
}

int um_process_exit(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	struct um_active *n = um_active();

	if (n && n->followed)
		um_task_exited((u32)id);
#ifndef UM_ENDS_BY_WORK /* where it is set, the probe of umount_tree opens the operation */
	um_follow_exit(id);
#endif
	return 0;
}
