/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The tasks that are followed: those inside an umount, on the way out of one, or about
 * to take a mount namespace down with them. Shared by all tiers.
 */
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
	u8 in_umount;	 /* in path_umount */
	u8 by_function;	 /* path_umount was not reached through the umount system call */
	u8 exiting;	 /* in do_exit */
	u8 grace_period; /* enum um_grace_period */
	u8 in_rcu;	 /* in synchronize_rcu_expedited, inside namespace_unlock */
	u8 origin;	 /* enum um_origin */
	u8 cleaning;	 /* depth of cleanup_mnt */
	u8 unended;	 /* LEAVING, and only its next system call is sure to end it */
	u8 uncounted;	 /* there are more of these than were counted */
	u32 cleanups;	 /* LEAVING: mounts that it is still to clean up */
	u64 switches;	 /* context switches before an RCU wait */
};

/* How many tasks are followed, and how many of them are LEAVING: tested before any look-up. */
struct um_active {
	u32 followed;
	u32 leaving;
	u32 unended; /* of these; read by user space */
};

BPF_ARRAY(active, struct um_active, 1);
BPF_HASH(tasks, u32, struct um_task, UM_MAX_TASKS);

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
	u8 unended = task->unended;

	if (!n || tasks.delete(&tid))
		return;
	__sync_fetch_and_add(&n->followed, -1);
	if (phase == UM_LEAVING)
		__sync_fetch_and_add(&n->leaving, -1);
	if (unended)
		__sync_fetch_and_add(&n->unended, -1);
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

/* What opens an operation: who does it. The first number of its sequence is this event's own. */
static __always_inline void um_send_opener(u64 ts, u32 tid, u32 tgid, u16 kind, u32 seq, u64 mnt,
					   int ret, u32 mntns)
{
	struct um_event *e = um_begin(ts, tid, tgid, kind, seq);

	if (!e)
		return;
	e->mnt = mnt;
	e->ret = ret;
	e->a = bpf_get_current_cgroup_id();
	e->b = mntns;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	um_submit(e);
}
