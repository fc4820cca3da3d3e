/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Superblocks that live on after an umount, and the mount namespaces that still have them. An
 * operation reports each once, with the namespaces, and at its end the count that is left: the end
 * of a container's mount namespace drops a thousand references to one superblock.
 */
#ifndef UMTRACE_SUPERBLOCK_H
#define UMTRACE_SUPERBLOCK_H

#include "mount.h"

#ifdef UM_OFF_MOUNT_MNT
/* The superblock of a mount and its active references: plain loads where the mount is a typed pointer. */
static __always_inline u32 um_sb_of(u64 mnt, u64 *sb)
{
	u32 active = 0;
#ifdef UM_FENTRY
	u64 loaded;

	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(loaded) : "r"(mnt), "i"(UM_OFF_SB));
	*sb = loaded;
	if (loaded)
		asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(active) : "r"(loaded), "i"(UM_OFF_SB_ACTIVE));
#else
	*sb = 0;
	UM_READ(*sb, mnt + UM_OFF_SB);
	UM_READ(active, *sb + UM_OFF_SB_ACTIVE);
#endif
	return active;
}

#ifdef UM_OFF_SB_MOUNTS
#define UM_MOST_MOUNTS 32

static __always_inline u64 um_next_of_sb(u64 at)
{
	u64 next = 0;

	UM_READ(next, at);
	return next;
}

/* Puts the inums of the namespaces that have a mount of it into inums[4]; returns the mounts read. */
static __always_inline int um_namespaces_of_sb(u64 sb, u32 *inums)
{
	u64 head = sb + UM_OFF_SB_MOUNTS, at = um_next_of_sb(head);
	int i, n = 0;

	for (i = 0; i < UM_MOST_MOUNTS; i++) {
		u64 mnt;
		u32 inum;

		asm volatile("" : "+r"(i));
#ifdef UM_OFF_MOUNT_INSTANCE /* a list_head in each */
		if (!at || at == head)
			break;
		mnt = at - UM_OFF_MOUNT_INSTANCE;
		at = um_next_of_sb(at);
#else /* a pointer to the next one */
		if (!at)
			break;
		mnt = at;
		at = um_next_of_sb(mnt + UM_OFF_MOUNT_NEXT_FOR_SB);
#endif
		n++;
		inum = um_ns_of(mnt);
		if (!inum || inum == inums[0] || inum == inums[1] || inum == inums[2] ||
		    inum == inums[3])
			continue;
		if (!inums[0])
			inums[0] = inum;
		else if (!inums[1])
			inums[1] = inum;
		else if (!inums[2])
			inums[2] = inum;
		else if (!inums[3])
			inums[3] = inum;
	}
	return n;
}
#else
#define um_namespaces_of_sb(sb, inums) 0
#endif

/* ``sb`` is a number here, no typed pointer. */
static __always_inline u32 um_report_sb(u64 sb, u32 active)
{
	struct um_event *e;
	u32 dev = 0;

	UM_READ(dev, sb + UM_OFF_SB_DEV); /* before e: 5.10 does not follow one that may be 0 over a call */
	e = um_foreign(UM_SHARED, 0, bpf_ktime_get_ns());
	if (!e)
		return dev;
	e->a = active;
	e->b = dev;
	__builtin_memset(e->comm, 0, sizeof(e->comm));
	e->ret = um_namespaces_of_sb(sb, (u32 *)e->comm);
	um_submit(e);
	return dev;
}

/* A reference to a superblock with others is about to be dropped; ``task``: in its own operation. */
static __always_inline void um_lives_on(struct um_task *task, u64 sb, u32 active)
{
	struct um_reported *known;
	u32 word;

	if (!task) {
		um_report_sb(um_to_scalar(sb), active);
		return;
	}
	/*
	 * An argument of an fentry program is a typed pointer, and the verifier refuses to shift one.
	 * What is read from a map is a number.
	 */
	*(volatile u64 *)&task->word = sb;
	word = *(volatile u64 *)&task->word >> 6;
	known = &task->reported[(word ^ word >> 5) & (UM_REPORTED_SBS - 1)];
	if (known->sb == word) {
		known->active = active | UM_COUNTED_AGAIN;
		task->again = 1;
		return;
	}
	if (known->active & UM_COUNTED_AGAIN)
		um_report_left(known, task->cleaned_ns);
	known->sb = word;
	known->active = active;
	known->dev = um_report_sb(*(volatile u64 *)&task->word, active);
}
#endif

#endif
