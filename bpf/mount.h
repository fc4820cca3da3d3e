/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the function probes send about a mount: its identity, its source, where it is attached. */
#ifndef UMTRACE_MOUNT_H
#define UMTRACE_MOUNT_H

#include "mount_fields.h"
#include "tasks.h"
#include "unmounted.h"

static __always_inline struct um_task *um_current(u32 *tid)
{
	*tid = bpf_get_current_pid_tgid();
	return um_task_of(*tid);
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

#ifdef UM_OFF_MOUNT_MNT
static __always_inline void um_fill_source(struct um_name *n, u64 ts, u32 tid, u64 mnt)
{
	u64 source = 0;
	long read;

	UM_READ(source, mnt + UM_OFF_MOUNT_DEVNAME);
	um_name_is(n, ts, tid, UM_NAME_SOURCE, 0);
	read = bpf_probe_read_kernel_str(n->text, UM_NAME_TEXT, (void *)source);
	n->len = read > 0 ? read - 1 : 0;
}

#ifdef UM_OFF_DENTRY_NAME
#define UM_COMPONENT 128 /* bytes of a name that is not the first of its record */
#define UM_PLACE_PARTS 3
#define UM_PLACE_STEPS 12 /* per part: components, and borders of the mounts above */

/* A position on the way up to the root. */
struct um_place {
	u64 mnt;
	struct um_view view; /* of that mount */
	u64 dentry;
	int end; /* 1 at the root, -1 where the walk cannot continue, else 0 */
};

/* At the root of a mount, steps to its mountpoint; returns whether it did. */
static __always_inline int um_place_leaves(struct um_place *at)
{
	u64 ns = 0;

	if (at->dentry != at->view.root)
		return 0;
	at->dentry = at->view.mountpoint;
	/* the topmost mount: of a mount namespace, or of a tree that is detached */
	if (at->view.parent == at->mnt || !at->view.parent) {
		UM_READ(ns, at->mnt + UM_OFF_MOUNT_NS);
		at->end = ns ? 1 : -1;
		return 1;
	}
	at->mnt = at->view.parent;
	um_read_mount(&at->view, at->mnt);
	return 1;
}

static __always_inline void um_read_dentry(u64 dentry, u64 *parent, u64 *name)
{
#if UM_NEAR(UM_OFF_DENTRY_NAME, UM_OFF_DENTRY_PARENT, 24)
	u64 words[3] = {};

	UM_READ_WORDS(words, dentry + UM_OFF_DENTRY_PARENT);
	*parent = words[0];
	*name = words[(UM_OFF_DENTRY_NAME - UM_OFF_DENTRY_PARENT) / 8];
#else
	UM_READ(*parent, dentry + UM_OFF_DENTRY_PARENT);
	UM_READ(*name, dentry + UM_OFF_DENTRY_NAME);
#endif
}

/* Adds the name of the component and steps up; returns the bytes added, 0 if it does not fit. */
static __always_inline u64 um_place_name(struct um_place *at, struct um_name *n, u64 off)
{
	u64 parent = 0, name = 0;
	long read;

	um_read_dentry(at->dentry, &parent, &name);
	if (!off) {
		read = bpf_probe_read_kernel_str(n->text, UM_NAME_TEXT, (void *)name);
		if (read <= 1 || read >= UM_NAME_TEXT)
			at->end = -1;
	} else {
		/* Tested again, in this register: the test in the loop does not bound it for the verifier. */
		asm volatile("" : "+r"(off));
		if (off > UM_NAME_TEXT - UM_COMPONENT)
			return 0;
		read = bpf_probe_read_kernel_str(n->text + off, UM_COMPONENT, (void *)name);
		if (read >= UM_COMPONENT) /* perhaps cut off: the next part has more room */
			return 0;
	}
	if (read <= 1 || parent == at->dentry)
		at->end = -1;
	at->dentry = parent;
	return at->end ? 0 : read & 255;
}

/* Adds names until the record is full, or the root is reached. */
static __always_inline void um_fill_place(struct um_name *n, u64 ts, u32 tid, u16 part,
					  struct um_place *at)
{
	u64 off = 0, added;
	int i;

	um_name_is(n, ts, tid, UM_NAME_MOUNTPOINT, part);
	for (i = 0; i < UM_PLACE_STEPS; i++) {
		asm volatile("" : "+r"(i));
		if (at->end || off > UM_NAME_TEXT - UM_COMPONENT)
			break;
		if (um_place_leaves(at))
			continue;
		added = um_place_name(at, n, off);
		if (!added)
			break;
		off += added;
	}
	n->len = off;
	n->more = at->end != 1; /* if no part follows, the mountpoint stays unknown */
	asm volatile("" : "+r"(off));
	if (at->end == 1 && off < UM_NAME_TEXT) {
		n->text[off] = 0;
		n->len = off + 1;
	}
}

/* Two records that are reserved at once, and read as any two. */
struct um_two_names {
	struct um_name first;
	u64 header; /* of the second one */
	struct um_name second;
};

/* The source and the mountpoint, before umount_tree detaches the mount, which then is its own parent. */
static __always_inline void um_send_names(u64 ts, u32 tid, u64 mnt, struct um_view *view)
{
	struct um_place at = {.mnt = mnt, .view = *view, .dentry = view->root};
	struct um_two_names *two = names.ringbuf_reserve(sizeof(struct um_two_names));
	u16 part;

	if (!two) {
		um_lost(UM_LOSS_NAME_RING);
		um_lost(UM_LOSS_NAME_RING);
		return;
	}
	two->header = sizeof(struct um_name);
	um_fill_source(&two->first, ts, tid, mnt);
	um_fill_place(&two->second, ts, tid, 0, &at);
	names.ringbuf_submit(two, UM_NO_WAKEUP);
	for (part = 1; part < UM_PLACE_PARTS && !at.end; part++) {
		struct um_name *n = names.ringbuf_reserve(sizeof(struct um_name));

		if (!n) {
			um_lost(UM_LOSS_NAME_RING);
			return;
		}
		um_fill_place(n, ts, tid, part, &at);
		names.ringbuf_submit(n, UM_NO_WAKEUP);
	}
}
#else
static __always_inline void um_send_names(u64 ts, u32 tid, u64 mnt, struct um_view *view)
{
	struct um_name *n = names.ringbuf_reserve(sizeof(struct um_name));

	if (!n) {
		um_lost(UM_LOSS_NAME_RING);
		return;
	}
	um_fill_source(n, ts, tid, mnt);
	names.ringbuf_submit(n, UM_NO_WAKEUP);
}
#endif

static __always_inline void um_fill_identity(struct um_event *e, u64 mnt, u32 flags, u32 dev, u64 type)
{
	u64 name = 0;

	e->mnt = mnt;
	e->ret = flags;
	if (um_watching())
		e->ret |= UM_WALKERS_WATCHED;
	e->a = um_mount_id(mnt);
	e->b = dev;
	UM_READ(name, type + UM_OFF_FSTYPE_NAME);
	bpf_probe_read_kernel_str(e->comm, sizeof(e->comm), (void *)name);
}

#ifdef UM_NOTES
/* The one event that is noted, and the identity: in one record. */
static __always_inline void um_send_note_and_identity(u32 tid, struct um_task *task, u64 ts, u64 mnt,
						      u32 flags, u32 dev, u64 type)
{
	u32 seq = um_next(task, UM_MOUNT, ts);
	struct um_notes *mine = um_notes_of(tid);
	struct um_run *run;

	task->noted = 0;
	run = events.ringbuf_reserve(UM_RUN_BYTES(2));
	if (!run) {
		um_lost(UM_LOSS_EVENT_RING);
		um_lost(UM_LOSS_EVENT_RING);
		return;
	}
	um_watch_fill(run, UM_RUN_BYTES(2));
	if (mine)
		um_fill_from(&run[0].event, &mine->note[0], tid, task->tgid);
	run[0].header = sizeof(struct um_event);
	um_begin_event(&run[1].event, ts, tid, task->tgid, UM_MOUNT, seq);
	um_fill_identity(&run[1].event, mnt, flags, dev, type);
	events.ringbuf_submit(run, UM_NO_WAKEUP);
}
#endif

/* ``noted``: the event before this one is noted. */
static __always_inline void um_describe(u32 tid, struct um_task *task, u64 mnt, const int noted)
{
	u64 ts = bpf_ktime_get_ns(), type = 0;
	u32 dev = 0;
	struct um_view view;
	struct um_event *e;

	um_read_mount(&view, mnt);
	um_read_sb(view.sb, &dev, &type);
	um_send_names(ts, tid, mnt, &view);
#ifdef UM_NOTES
	if (noted && task->noted == 1) {
		um_send_note_and_identity(tid, task, ts, mnt, view.flags, dev, type);
		return;
	}
#endif
	um_notes_first(tid, task);
	e = um_reserve_of(task, tid, UM_MOUNT, ts);
	if (!e)
		return;
	um_fill_identity(e, mnt, view.flags, dev, type);
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
#define um_describe(tid, task, mnt, noted)
#define um_mount_of_path(path) 0
#endif

/* How many mounts namespace_unlock will put: the length of its list; ~0 unknown. */
#ifdef UM_BPF_LOOP
#define UM_MAX_COUNTED 8
#else
#define UM_MAX_COUNTED 2048
#endif
static __always_inline u64 um_unmounted(void)
{
	u64 count = 0;
#ifdef UM_ADDR_UNMOUNTED
	u64 node = um_word(UM_ADDR_UNMOUNTED);
	int i;

	for (i = 0; i < UM_MAX_COUNTED; i++) {
		asm volatile("" : "+r"(i));
		if (!node)
			return count;
		count++;
		node = um_word(node);
	}
	return um_count_on(node, count);
#else
	return ~0ULL;
#endif
}

static __always_inline void um_emit(u32 tid, struct um_task *task, u16 kind, u64 mnt, int ret,
				    u64 a, u32 b)
{
	um_emit_at(tid, task, kind, bpf_ktime_get_ns(), mnt, ret, a, b);
}

#endif
