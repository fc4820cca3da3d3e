/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The tracepoint tier: what a kernel that refuses function probes still shows.
 *
 * syscalls:sys_{enter,exit}_umount give the operation; the kernel stack at
 * sched_switch names what it waited for; raw_syscalls:sys_enter of the same task
 * bounds the file system shutdown, which runs after sys_exit as task work. A mount
 * namespace that goes with its last task has no syscall: it is recognised by
 * put_mnt_ns() or namespace_unlock() on the stack of an exiting task.
 *
 * Constants set by the loader: UM_EVENT_PAGES, UM_NAME_PAGES, UM_MAX_TASKS, offsets
 * UM_OFF_*, UM_FN_* functions as "address, length" (0, 0 where unknown), UM_HOST_MNTNS.
 */
#include "emit.h"

enum um_phase {
	UM_OPENING = 0, /* followed, its opener not sent yet: it may be preempted here since 7.x */
	UM_INSIDE = 1,	/* in umount(2) */
	UM_LEAVING = 2, /* past sys_exit: task work may still run */
	UM_EXITING = 3, /* in do_exit, in a mount namespace that is not the host's */
	UM_NS_DOWN = 4, /* in do_exit, seen taking its mount namespace down */
	UM_TEARDOWN_IN = 5, /* taking mounts down outside umount(2), before namespace_unlock's end */
};

struct um_task {
	u32 tgid;
	u32 seq;
	u16 phase;
	u8 off;	      /* an OFF_CPU was sent and its ON_CPU is due */
	u8 shutdown;  /* the shutdown was seen once: enough */
	u32 mntns;    /* EXITING: the namespace, kept since the task lets go of it */
	int n_mounts; /* EXITING: mounts in it, -1 unknown */
	/* Function probes only. */
	u64 mnt;	 /* the mount that is being unmounted */
	u64 counted;	 /* the mount mnt_get_count counts */
	int count;	 /* references of mnt at the busy check, -1 unknown */
	u32 busy_ns;	 /* namespace of a busy copy */
	u8 in_check;	 /* in propagate_mount_busy */
	u8 in_unlock;	 /* in namespace_unlock */
	u8 by_function;	 /* path_umount was not reached through the umount system call */
	u8 exiting;	 /* in do_exit */
};

/* How many tasks are followed, and how many of them are LEAVING: tested before any look-up. */
struct um_active {
	u32 followed;
	u32 leaving;
};

#define UM_FRAMES 127
struct um_frames {
	u64 ip[UM_FRAMES + 1];
};

BPF_ARRAY(active, struct um_active, 1);
BPF_HASH(tasks, u32, struct um_task, UM_MAX_TASKS);
/* One for sched_switch, one for everything that may be interrupted by it. */
#define UM_FRAMES_SWITCH 0
#define UM_FRAMES_CALL 1
BPF_PERCPU_ARRAY(frames, struct um_frames, 2);

static __always_inline struct um_active *um_active(void)
{
	u32 zero = 0;

	return active.lookup(&zero);
}

static __always_inline int um_follow(u32 tid, struct um_task *task)
{
	struct um_active *n = um_active();

	if (!n || tasks.update(&tid, task)) {
		um_lost(UM_LOSS_TASK_MAP);
		return -1;
	}
	__sync_fetch_and_add(&n->followed, 1);
	return 0;
}

static __always_inline void um_forget(u32 tid, struct um_task *task)
{
	struct um_active *n = um_active();
	u16 phase = task->phase;

	if (!n || tasks.delete(&tid))
		return;
	__sync_fetch_and_add(&n->followed, -1);
	if (phase == UM_LEAVING)
		__sync_fetch_and_add(&n->leaving, -1);
}

static __always_inline void um_mark(u32 tid, struct um_task *task, u16 kind, u64 a)
{
	struct um_event *e = um_begin(bpf_ktime_get_ns(), tid, task->tgid, kind, task->seq++);

	if (!e)
		return;
	e->a = a;
	um_submit(e);
}

/* Read a word of the current task's struct mnt_namespace; 0 where it cannot be read. */
static __always_inline u32 um_read_mnt_ns(u32 offset)
{
	u32 word = 0;
#ifdef UM_OFF_TASK_NSPROXY
	char *task = (char *)bpf_get_current_task();
	char *nsproxy = 0, *mnt_ns = 0;

	bpf_probe_read_kernel(&nsproxy, sizeof(nsproxy), task + UM_OFF_TASK_NSPROXY);
	if (!nsproxy)
		return 0;
	bpf_probe_read_kernel(&mnt_ns, sizeof(mnt_ns), nsproxy + UM_OFF_NSPROXY_MNT_NS);
	if (!mnt_ns)
		return 0;
	bpf_probe_read_kernel(&word, sizeof(word), mnt_ns + offset);
#endif
	return word;
}

static __always_inline u32 um_mntns(void)
{
	return um_read_mnt_ns(UM_OFF_MNT_NS_INUM);
}

static __always_inline int um_nr_mounts(void)
{
#ifdef UM_OFF_MNT_NS_MOUNTS
	return um_read_mnt_ns(UM_OFF_MNT_NS_MOUNTS);
#else
	return -1;
#endif
}

/* ---- the operation: syscalls:sys_enter_umount, syscalls:sys_exit_umount ---- */

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
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	u32 tid = id;
	struct um_task fresh = {.tgid = id >> 32, .seq = ts, .phase = UM_OPENING};
	struct um_task *old = tasks.lookup(&tid);
	struct um_event *e;

	/* Also reached by um_next_syscall, in whichever order the kernel calls the two. */
	if (old) {
		if (old->phase == UM_LEAVING)
			um_mark(tid, old, UM_RETURNED, 1);
		um_forget(tid, old);
	}
	fresh.seq++; /* the first number is the ENTER event's own */
	if (um_follow(tid, &fresh))
		return 0;
	um_send_path(ts, tid, ctx->name);
	e = um_begin(ts, tid, fresh.tgid, UM_ENTER, ts);
	if (e) {
		e->ret = ctx->flags;
		e->a = bpf_get_current_cgroup_id();
		e->b = um_mntns();
		bpf_get_current_comm(e->comm, sizeof(e->comm));
		um_submit(e);
	}
	old = tasks.lookup(&tid);
	if (old)
		old->phase = UM_INSIDE;
	return 0;
}

int um_exit(struct um_syscall_exit *ctx)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	u32 tid = id;
	struct um_task *task = tasks.lookup(&tid);
	struct um_active *n = um_active();
	/* Without a task the operation began before the probes: its exit is sent alone. */
	struct um_event *e = um_begin(ts, tid, id >> 32, UM_EXIT, task ? task->seq++ : 0);

	if (e) {
		e->ret = ctx->ret;
		if (!task) {
			e->a = 1;
			bpf_get_current_comm(e->comm, sizeof(e->comm));
		}
		um_submit(e);
	}
	if (!task || !n)
		return 0;
	if (ctx->ret < 0) { /* nothing was unmounted: no shutdown is due */
		um_forget(tid, task);
		return 0;
	}
	task->phase = UM_LEAVING;
	__sync_fetch_and_add(&n->leaving, 1);
	return 0;
}

/* ---- the end of the shutdown: raw_syscalls:sys_enter ---- */

int um_next_syscall(void *ctx)
{
	struct um_active *n = um_active();
	struct um_task *task;
	u32 tid;

	if (!n || !n->leaving)
		return 0;
	tid = bpf_get_current_pid_tgid();
	task = tasks.lookup(&tid);
	if (!task || task->phase != UM_LEAVING)
		return 0;
	um_mark(tid, task, UM_RETURNED, 1);
	um_forget(tid, task);
	return 0;
}

/* ---- what it waited for: sched:sched_switch ---- */

/* Frames are counted from the innermost; the entry into the kernel is the last. */
static __always_inline int um_stack(void *ctx, struct um_frames *f)
{
	int bytes = bpf_get_stack(ctx, f->ip, UM_FRAMES * sizeof(u64), 0);

	return bytes < 0 ? -1 : (int)((u32)bytes >> 3);
}

/*
 * 1 if ip lies in the function, else 0. Without a branch: the verifier would follow
 * both sides of every comparison of every frame.
 */
static __always_inline u64 um_in(u64 ip, u64 start, u64 length)
{
	u64 distance = ip - start;

	return ((distance - length) & ~distance) >> 63;
}
#define UM_IN(ip, function) um_in(ip, function)

#define UM_SCANNED 40 /* frames; umount's own waits are no deeper than 25 */

static __always_inline u64 um_on_stack(struct um_frames *f, int n)
{
	u64 found = 0, in_lock = 0, ip, taker;
	int i;

	for (i = 0; i < UM_SCANNED; i++) {
		/* Hides i from the compiler, which would count down instead: the verifier cannot follow that. */
		asm volatile("" : "+r"(i));
		if (i >= n)
			break;
		ip = f->ip[i];
		taker = UM_IN(ip, UM_FN_PATH_UMOUNT) | UM_IN(ip, UM_FN_PUT_NS) |
			    UM_IN(ip, UM_FN_DROP_COLLECTED);

		found |= UM_IN(ip, UM_FN_UNLOCK) * UM_ON_UNLOCK;
		found |= UM_IN(ip, UM_FN_RCU) * UM_ON_RCU;
		found |= (UM_IN(ip, UM_FN_RCU_NORMAL) | UM_IN(ip, UM_FN_RCU_NORMAL_PART) |
			  UM_IN(ip, UM_FN_WAIT_RCU_GP)) * UM_ON_RCU_NORMAL;
		found |= UM_IN(ip, UM_FN_FUNNEL) * UM_ON_FUNNEL;
		found |= UM_IN(ip, UM_FN_MUTEX) * UM_ON_MUTEX;
		found |= (taker & in_lock) * UM_ON_LOCK_TAKER;
		found |= UM_IN(ip, UM_FN_LOOKUP) * UM_ON_LOOKUP;
		found |= (UM_IN(ip, UM_FN_TASK_WORK) | UM_IN(ip, UM_FN_CLEANUP)) * UM_ON_TASK_WORK;
		found |= UM_IN(ip, UM_FN_PUT_NS) * UM_ON_PUT_NS;
		in_lock = UM_IN(ip, UM_FN_DOWN_WRITE) | UM_IN(ip, UM_FN_RWSEM_SLOW) |
			  UM_IN(ip, UM_FN_RWBASE);
	}
	return found;
}

/* Task work runs a few frames above the entry into the kernel, however deep the shutdown. */
static __always_inline u64 um_in_task_work(struct um_frames *f, int n)
{
	u64 found = 0;
	int i;

	for (i = 1; i <= 14; i++) {
		u32 at = n - i;

		if (at < UM_FRAMES)
			found |= UM_IN(f->ip[at], UM_FN_TASK_WORK);
	}
	return found;
}

static __always_inline void um_send_off(u32 tid, struct um_task *task, int state, u64 on_stack,
					u32 unknown)
{
	struct um_event *e;

	e = um_begin(bpf_ktime_get_ns(), tid, task->tgid, UM_OFF_CPU, task->seq++);
	if (!e)
		return;
	e->ret = state;
	e->a = on_stack;
	e->b = unknown;
	um_submit(e);
}

static __always_inline void um_leaving_off(struct um_frames *f, int n, u32 tid,
					   struct um_task *task)
{
	if (n < 0 || !UM_KNOWS_TASK_WORK)
		return; /* where it is cannot be told: the next syscall ends it */
	if (!um_in_task_work(f, n)) {
		um_mark(tid, task, UM_RETURNED, 3);
		um_forget(tid, task);
	} else if (!task->shutdown) {
		task->shutdown = 1;
		um_send_off(tid, task, 0, UM_ON_TASK_WORK, 0);
	}
}

static __always_inline void um_ns_goes_down(u32 tid, struct um_task *task)
{
	struct um_event *e;

	task->phase = UM_NS_DOWN;
	e = um_begin(bpf_ktime_get_ns(), tid, task->tgid, UM_NS_EXIT, task->seq++);
	if (!e)
		return;
	e->ret = task->n_mounts;
	e->a = bpf_get_current_cgroup_id();
	e->b = task->mntns;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	um_submit(e);
}

static __always_inline void um_dead(u32 tid, struct um_task *task)
{
	if (task->phase != UM_EXITING)
		um_mark(tid, task, UM_DEAD, 0);
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
	 * cleanup_mnt and umount_tree are probed: the stack need not say where the shutdown
	 * ends (a kretprobe hides the callers from the unwinder) nor that a namespace goes
	 * down (its opener may be what is being preempted).
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
	um_send_off(tid, task, state, on_stack, n < 0);
	task->off = 1;
}

static __always_inline void um_switch_in(u32 tid)
{
	struct um_task *task = tasks.lookup(&tid);

	if (!task || !task->off)
		return;
	task->off = 0;
	um_mark(tid, task, UM_ON_CPU, 0);
}

/* Offsets in struct task_struct are known: the raw tracepoint, the cheaper of the two. */
#ifdef UM_OFF_TASK_STATE
int um_switch(struct bpf_raw_tracepoint_args *ctx)
{
	struct um_active *n = um_active();
	struct um_task *task;
	u32 prev, next = 0;

	if (!n || !n->followed)
		return 0;
	prev = bpf_get_current_pid_tgid();
	task = tasks.lookup(&prev);
	if (task) {
		u32 state = 0;

		bpf_probe_read_kernel(&state, sizeof(state),
				      (char *)bpf_get_current_task() + UM_OFF_TASK_STATE);
		um_switch_out(ctx, prev, task, state);
	}
	bpf_probe_read_kernel(&next, sizeof(next), (char *)ctx->args[2] + UM_OFF_TASK_PID);
	if (next)
		um_switch_in(next);
	return 0;
}
#else
struct um_sched_switch {
	u64 common;
	char prev_comm[16];
	u32 prev_pid;
	int prev_prio;
	u64 prev_state;
	char next_comm[16];
	u32 next_pid;
};

int um_switch(struct um_sched_switch *ctx)
{
	struct um_active *n = um_active();
	u32 prev = ctx->prev_pid, next = ctx->next_pid;
	struct um_task *task;

	if (!n || !n->followed)
		return 0;
	task = tasks.lookup(&prev);
	if (task)
		um_switch_out(ctx, prev, task, ctx->prev_state);
	if (next)
		um_switch_in(next);
	return 0;
}
#endif

/* ---- tasks that end: sched:sched_process_exit ---- */

int um_process_exit(void *ctx)
{
	u64 id = bpf_get_current_pid_tgid();
	u32 tid = id, mntns = um_mntns();
	struct um_task *old = tasks.lookup(&tid);
	struct um_task fresh = {.tgid = id >> 32, .phase = UM_EXITING, .mntns = mntns};

	if (old) {
		if (old->phase == UM_LEAVING)
			um_mark(tid, old, UM_RETURNED, 2);
		else if (old->phase == UM_INSIDE)
			um_mark(tid, old, UM_DEAD, 0);
		um_forget(tid, old);
	}
	if (!mntns || mntns == UM_HOST_MNTNS || !UM_KNOWS_TASK_WORK)
		return 0;
	fresh.seq = bpf_ktime_get_ns();
	fresh.n_mounts = um_nr_mounts();
	um_follow(tid, &fresh);
	return 0;
}
