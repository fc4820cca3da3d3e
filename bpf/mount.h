/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What the function probes read of a struct mount, and how they say it. Offsets come
 * from BTF as UM_OFF_*.
 */
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
