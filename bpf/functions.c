/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The function tiers: what the tracepoint tier cannot see. Compiled after
 * tracepoint.c, whose tasks it shares; meaning here, placement in placement.h.
 *
 * A handler's first test drops what belongs to no followed task: mount(2), bind and
 * pivot_root pass namespace_unlock too, and a busy check may be anybody's.
 */
#include "placement.h"

static __always_inline struct um_task *um_current(u32 *tid)
{
	*tid = bpf_get_current_pid_tgid();
	return tasks.lookup(tid);
}

/* Set by user space while the walker probes are attached. */
#ifdef UM_WITH_WALKERS
BPF_ARRAY(watching, u32, 1);
static __always_inline int um_watching(void)
{
	u32 zero = 0, *on = watching.lookup(&zero);

	return on && *on;
}
#else
#define um_watching() 0
#endif

#define UM_READ(to, from) bpf_probe_read_kernel(&(to), sizeof(to), (const void *)(from))

/* Identities need BTF; without it the times alone are sent. */
#ifdef UM_OFF_MOUNT_MNT
static __always_inline u64 um_superblock(u64 mnt)
{
	u64 sb = 0;

	UM_READ(sb, mnt + UM_OFF_MOUNT_MNT + UM_OFF_VFSMOUNT_SB);
	return sb;
}

static __always_inline u32 um_flags(u64 mnt)
{
	u32 flags = 0;

	UM_READ(flags, mnt + UM_OFF_MOUNT_MNT + UM_OFF_VFSMOUNT_FLAGS);
	return flags;
}

static __always_inline u32 um_ns_of(u64 mnt)
{
	u64 ns = 0;
	u32 inum = 0;

	UM_READ(ns, mnt + UM_OFF_MOUNT_NS);
	if (ns && ns < (u64)-4096) /* may be an error pointer: internal mounts */
		UM_READ(inum, ns + UM_OFF_MNT_NS_INUM);
	return inum;
}

static __always_inline u64 um_mount_id(u64 mnt)
{
#ifdef UM_OFF_MOUNT_ID_UNIQUE
	u64 id = 0;

	UM_READ(id, mnt + UM_OFF_MOUNT_ID_UNIQUE);
#else
	int id = 0;

	UM_READ(id, mnt + UM_OFF_MOUNT_ID);
#endif
	return id;
}

static __always_inline void um_send_source(u64 ts, u32 tid, u64 mnt)
{
	struct um_name *n = names.ringbuf_reserve(sizeof(struct um_name));
	u64 source = 0;
	long read;

	if (!n) {
		um_lost(UM_LOSS_NAME_RING);
		return;
	}
	__builtin_memset(n, 0, sizeof(*n));
	n->ts_ns = ts;
	n->tid = tid;
	n->kind = UM_NAME_SOURCE;
	UM_READ(source, mnt + UM_OFF_MOUNT_DEVNAME);
	read = bpf_probe_read_kernel_str(n->text, UM_NAME_TEXT, (void *)source);
	n->len = read > 0 ? read - 1 : 0;
	names.ringbuf_submit(n, UM_NO_WAKEUP);
}

static __always_inline void um_describe(u32 tid, struct um_task *task, u64 mnt)
{
	u64 ts = bpf_ktime_get_ns(), sb = um_superblock(mnt), type = 0, name = 0;
	struct um_event *e;

	um_send_source(ts, tid, mnt);
	e = um_begin(ts, tid, task->tgid, UM_MOUNT, task->seq++);
	if (!e)
		return;
	e->mnt = mnt;
	e->ret = um_flags(mnt);
	if (um_watching())
		e->ret |= UM_WALKERS_WATCHED;
	e->a = um_mount_id(mnt);
	UM_READ(e->b, sb + UM_OFF_SB_DEV);
	UM_READ(type, sb + UM_OFF_SB_TYPE);
	UM_READ(name, type + UM_OFF_FSTYPE_NAME);
	bpf_probe_read_kernel_str(e->comm, sizeof(e->comm), (void *)name);
	um_submit(e);
}

/* The mount of a struct path. */
static __always_inline u64 um_mount_of_path(u64 path)
{
	u64 vfsmount = 0;

	UM_READ(vfsmount, path + UM_OFF_PATH_MNT);
	return vfsmount ? vfsmount - UM_OFF_MOUNT_MNT : 0;
}
#else
#define um_flags(mnt) 0
#define um_ns_of(mnt) 0
#define um_describe(tid, task, mnt)
#define um_mount_of_path(path) 0
#endif

/* How many mounts namespace_unlock will put: the length of its list, up to a bound. */
#define UM_MAX_COUNTED 2048
static __always_inline u64 um_unmounted(void)
{
	u64 count = 0;
#ifdef UM_ADDR_UNMOUNTED
	u64 node = 0;
	int i;

	UM_READ(node, UM_ADDR_UNMOUNTED);
	for (i = 0; i < UM_MAX_COUNTED; i++) {
		asm volatile("" : "+r"(i));
		if (!node)
			return count;
		count++;
		if (UM_READ(node, node))
			return ~0ULL;
	}
#endif
	return ~0ULL;
}

static __always_inline void um_tell(u32 tid, struct um_task *task, u16 kind, u64 mnt, int ret,
				    u64 a, u32 b)
{
	struct um_event *e = um_begin(bpf_ktime_get_ns(), tid, task->tgid, kind, task->seq++);

	if (!e)
		return;
	e->mnt = mnt;
	e->ret = ret;
	e->a = a;
	e->b = b;
	um_submit(e);
}

/* ---- path_umount ---- */

UM_ENTRY(path_umount)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	struct um_task fresh = {.phase = UM_INSIDE, .by_function = 1, .count = -1};

	if (!task) { /* a system call without a tracepoint of its own: 32 bit, oldumount */
		u64 ts = bpf_ktime_get_ns();
		struct um_event *e;

		fresh.tgid = bpf_get_current_pid_tgid() >> 32;
		fresh.seq = (u32)ts + 1;
		if (um_follow(tid, &fresh))
			return 0;
		e = um_begin(ts, tid, fresh.tgid, UM_ENTER, ts);
		if (e) {
			e->ret = (int)UM_ARG(1);
			e->a = bpf_get_current_cgroup_id();
			e->b = um_mntns();
			bpf_get_current_comm(e->comm, sizeof(e->comm));
			um_submit(e);
		}
		task = tasks.lookup(&tid);
	}
	if (!task || task->phase != UM_INSIDE)
		return 0;
	task->count = -1;
	task->mnt = um_mount_of_path(UM_ARG(0));
	um_tell(tid, task, UM_PATH_UMOUNT, task->mnt, (int)UM_ARG(1), 0, 0);
	if (task->mnt) {
		um_describe(tid, task, task->mnt);
	}
	return 0;
}

UM_RETURN(path_umount)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	struct um_active *n = um_active();
	int ret = (int)UM_RETVAL(2);

	if (!task || !n || task->phase != UM_INSIDE)
		return 0;
	um_tell(tid, task, UM_PATH_UMOUNT_EXIT, task->mnt, ret, 0, 0);
	if (!task->by_function)
		return 0;
	um_tell(tid, task, UM_EXIT, task->mnt, ret, 0, 0);
	if (ret < 0) {
		um_forget(tid, task);
	} else {
		task->phase = UM_LEAVING;
		__sync_fetch_and_add(&n->leaving, 1);
	}
	return 0;
}

/* ---- the busy check ---- */

UM_ENTRY(propagate_mount_busy)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (!task || task->phase != UM_INSIDE)
		return 0;
	task->in_check = 1;
	task->count = -1;
	task->busy_ns = 0;
	um_tell(tid, task, UM_CHECK, UM_ARG(0), 0, 0, 0);
	return 0;
}

UM_RETURN(propagate_mount_busy)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	int ret = (int)UM_RETVAL(2);

	if (!task || !task->in_check)
		return 0;
	task->in_check = 0;
	um_tell(tid, task, UM_CHECKED, task->mnt, ret, task->count < 0 ? ~0ULL : task->count,
		task->busy_ns);
	return 0;
}

UM_COUNT_ENTRY(mnt_get_count)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (task && task->in_check)
		task->counted = UM_ARG(0);
	return 0;
}

UM_RETURN(mnt_get_count)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	int count = (int)UM_RETVAL(1);
	u64 mnt;

	if (!task || !task->in_check)
		return 0;
	mnt = UM_RETURN_ARG(0, task->counted);
	if (mnt == task->mnt)
		task->count = count;
	else if (count > 1)
		task->busy_ns = um_ns_of(mnt);
	return 0;
}

/* ---- umount_tree: which caller, and the opener of what is no umount(2) ---- */

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
	struct um_event *e;

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
	e = um_begin(ts, tid, fresh.tgid, UM_TEARDOWN, ts);
	if (e) {
		e->mnt = mnt;
		e->ret = um_origin(ctx);
		e->a = bpf_get_current_cgroup_id();
		e->b = um_ns_of(mnt);
		bpf_get_current_comm(e->comm, sizeof(e->comm));
		um_submit(e);
	}
	um_describe(tid, task, mnt);
	task->phase = UM_TEARDOWN_IN;
	return task;
}

UM_ENTRY(umount_tree)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	u64 mnt = UM_ARG(0);

	if (!task || task->phase == UM_EXITING)
		task = um_open_teardown(ctx, tid, task, mnt);
	if (!task)
		return 0;
	if (!task->mnt) { /* a namespace exit that was first seen asleep */
		task->mnt = mnt;
		um_describe(tid, task, mnt);
	}
	um_tell(tid, task, UM_TREE, mnt, (int)UM_ARG(1), 0, 0);
	return 0;
}

/* ---- namespace_unlock and the grace period in it ---- */

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

/* ---- the end of a mount: one event per dying mount names who dropped the last reference ---- */

static __always_inline void um_cleanup(u32 tid, struct um_task *task, u16 kind, u64 mnt)
{
	u64 id = bpf_get_current_pid_tgid();
	/* Its own operation's, or on the way out of it; else a foreign task's: no sequence. */
	int own = task && task->phase != UM_EXITING;
	struct um_event *e =
		um_begin(bpf_ktime_get_ns(), tid, id >> 32, kind, own ? task->seq++ : 0);

	if (!e)
		return;
	e->mnt = mnt;
	e->cpu |= own ? 0 : UM_FOREIGN;
#ifdef UM_OFF_MOUNT_MNT
	if (kind == UM_CLEANUP) {
		u64 sb = um_superblock(mnt);
		int active = 0;

		e->ret = um_flags(mnt);
		if (own && mnt == task->mnt)
			e->ret |= UM_IS_TARGET;
		UM_READ(active, sb + UM_OFF_SB_ACTIVE);
		e->a = (u32)active;
		UM_READ(e->b, sb + UM_OFF_SB_DEV);
	}
#endif
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	um_submit(e);
}

UM_ENTRY(cleanup_mnt)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	um_cleanup(tid, task, UM_CLEANUP, UM_ARG(0));
	um_stash(UM_SLOT_CLEANUP, UM_ARG(0));
	return 0;
}

UM_RETURN(cleanup_mnt)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	um_cleanup(tid, task, UM_CLEANUP_EXIT, UM_RETURN_ARG(0, um_stashed(UM_SLOT_CLEANUP)));
	return 0;
}

/* ---- the path walkers: hot, so only with --probes full, and of these only dying mounts ---- */

#ifdef UM_WITH_WALKERS
#define UM_MNT_DYING 0x0b000000 /* MNT_DOOMED | MNT_SYNC_UMOUNT | MNT_UMOUNT, 5.10 to 7.3 */

static __always_inline void um_walker(u16 kind, u64 vfsmount, u32 flags, int ret)
{
	u64 id = bpf_get_current_pid_tgid();
	struct um_event *e = um_begin(bpf_ktime_get_ns(), id, id >> 32, kind, 0);

	if (!e)
		return;
	e->mnt = vfsmount - UM_OFF_MOUNT_MNT;
	e->cpu |= UM_FOREIGN;
	e->ret = ret;
	e->a = flags;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	um_submit(e);
}

UM_HOT_ENTRY(__legitimize_mnt)
{
	um_stash(UM_SLOT_WALK, UM_ARG(0));
	return 0;
}

UM_RETURN(__legitimize_mnt)
{
	u64 vfsmount = UM_RETURN_ARG(0, um_stashed(UM_SLOT_WALK));
	int ret = (int)UM_RETVAL(2);
	u32 flags = 0;

	if (!vfsmount || !ret)
		return 0;
	UM_READ(flags, vfsmount + UM_OFF_VFSMOUNT_FLAGS);
	/* 1 without a dying mount is the noise of any mount or umount anywhere. */
	if (ret < 0 || (flags & UM_MNT_DYING))
		um_walker(UM_WALK, vfsmount, flags, ret);
	return 0;
}

UM_ENTRY(mntput)
{
	u64 vfsmount = UM_ARG(0);
	u32 flags = 0;

	if (!vfsmount)
		return 0;
	UM_READ(flags, vfsmount + UM_OFF_VFSMOUNT_FLAGS);
	if (flags & UM_MNT_DYING)
		um_walker(UM_PUT, vfsmount, flags, 0);
	return 0;
}
#endif
