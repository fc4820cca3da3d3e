/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Out of how many mount namespaces an umount takes mounts, and how many out of each. umount_tree
 * clears mnt_ns of each mount. Before that, propagate_umount has all mounts of a tree in one list,
 * with their copies elsewhere. All is under namespace_sem, so there is one such umount at a time.
 */
#ifndef UMTRACE_SPREAD_H
#define UMTRACE_SPREAD_H

#include "mount.h"
#include "steps.h"
#include "words.h"

#define UM_PROPAGATED 2 /* UMOUNT_PROPAGATE */
#define UM_LARGEST 3 /* how many namespaces are sent with their numbers of mounts */

#if defined(UM_SPREAD) && defined(UM_OFF_MOUNT_LIST) && defined(UM_OFF_MOUNT_NS)
#define UM_SPACES 8192 /* a power of two */
#define UM_TRIES 8
#define UM_FEW_MOUNTS 256 /* how far a list is followed without bpf_loop() */
#define UM_FEW_SPACES 64

struct um_space {
	u64 ns; /* address of the namespace */
	u32 round;
	u32 mounts;
};
BPF_ARRAY(spaces, struct um_space, UM_SPACES); /* hashed; those of the round only */
BPF_ARRAY(spaces_used, u32, UM_SPACES);	       /* their numbers, in the order of use */

struct um_spread {
	u64 begun_ns; /* of the operation */
	u64 head;     /* of the list */
	u64 node;     /* of the next mount in it */
	u64 first;    /* the first namespace, which is in no table */
	u32 mounts;   /* of it */
	u32 n;	      /* namespaces */
	u32 round;
	u32 at;
	u64 largest[UM_LARGEST]; /* mounts << 32, with the number of the space plus 1; the first: 0 */
	u8 unknown;
	u8 uncounted; /* the mounts of a tree were not counted */
};
BPF_ARRAY(spread, struct um_spread, 1);

static __always_inline struct um_spread *um_spread(void)
{
	u32 zero = 0;

	return spread.lookup(&zero);
}

static __always_inline struct um_spread *um_spread_of(struct um_task *task)
{
	struct um_spread *s = um_spread();

	if (s && s->begun_ns != task->begun_ns) {
		s->begun_ns = task->begun_ns;
		s->n = 0;
		s->round++;
		s->unknown = s->uncounted = 0;
	}
	return s;
}

static __always_inline void um_add_space(struct um_spread *s, u64 ns)
{
	u32 place = (u32)(ns >> 6) * 2654435761u >> 19;
	int i;

	UM_UNROLL
	for (i = 0; i < UM_TRIES; i++) {
		u32 slot = (place + i) & (UM_SPACES - 1), order = s->n, *used;
		struct um_space *space = spaces.lookup(&slot);

		if (!space)
			return;
		if (space->round == s->round && space->ns == ns) {
			space->mounts++;
			return;
		}
		if (space->round == s->round)
			continue;
		used = spaces_used.lookup(&order);
		if (!used)
			break;
		*used = slot;
		space->ns = ns;
		space->round = s->round;
		space->mounts = 1;
		s->n++;
		return;
	}
	s->unknown = 1;
}

/* A mount that is in a namespace; one of a tree that is attached nowhere, or of the kernel's own, is in none. */
static __always_inline void um_add_mount(struct um_spread *s, u64 ns)
{
	if (!ns || ns >= (u64)-4096)
		return;
	if (!s->n) {
		s->first = ns;
		s->mounts = 1;
		s->n = 1;
	} else if (s->first == ns) {
		s->mounts++;
	} else {
		um_add_space(s, ns);
	}
}

static __always_inline int um_step_of_tree(struct um_spread *s)
{
	u64 mnt;

	if (!s->node || s->node == s->head)
		return 1;
	mnt = s->node - UM_OFF_MOUNT_LIST;
	um_add_mount(s, um_word(mnt + UM_OFF_MOUNT_NS));
	s->node = um_word(s->node);
	return 0;
}

static __always_inline int um_step_of_spaces(struct um_spread *s)
{
	u32 at = s->at++, *slot;
	struct um_space *space;
	u64 word, less;
	int i;

	if (at >= s->n)
		return 1;
	if (!at) {
		word = (u64)s->mounts << 32;
	} else {
		slot = spaces_used.lookup(&at);
		space = slot ? spaces.lookup(slot) : 0;
		if (!space)
			return 1;
		word = (u64)space->mounts << 32 | (*slot + 1);
	}
	UM_UNROLL
	for (i = 0; i < UM_LARGEST; i++) {
		less = s->largest[i];
		if (word <= less)
			continue;
		s->largest[i] = word;
		word = less;
	}
	return 0;
}

#ifdef UM_BPF_LOOP
UM_STEP(tree)
{
	struct um_spread *s = um_spread();

	return s ? um_step_of_tree(s) : 1;
}

UM_STEP(largest)
{
	struct um_spread *s = um_spread();

	return s ? um_step_of_spaces(s) : 1;
}

#define um_each_of_tree(s) um_each(UM_MOST_STEPS, UM_STEP_TREE)
#define um_each_space(s) um_each(UM_SPACES, UM_STEP_LARGEST)
#else
static __always_inline void um_each_of_tree(struct um_spread *s)
{
	int i;

	for (i = 0; i < UM_FEW_MOUNTS; i++) {
		asm volatile("" : "+r"(i));
		if (um_step_of_tree(s))
			return;
	}
}

static __always_inline void um_each_space(struct um_spread *s)
{
	int i;

	for (i = 0; i < UM_FEW_SPACES; i++) {
		asm volatile("" : "+r"(i));
		if (um_step_of_spaces(s))
			return;
	}
}
#endif

/* A tree that leaves without copies elsewhere is in one namespace. */
static __always_inline void um_tree_begins(struct um_task *task, u64 mnt, int how)
{
	struct um_spread *s;

	if (how & UM_PROPAGATED) {
		task->spreads = 1;
		return;
	}
	s = um_spread_of(task);
	if (!s)
		return;
	s->uncounted = 1;
	um_add_mount(s, um_word(um_to_scalar(mnt) + UM_OFF_MOUNT_NS));
}

/* The list of ``head`` has all that leave. */
static __always_inline void um_tree_spreads(struct um_task *task, u64 head)
{
	struct um_spread *s = um_spread_of(task);

	if (!s)
		return;
	task->spreads = 0;
	*(volatile u64 *)&s->head = head;
	s->node = um_word(*(volatile u64 *)&s->head);
	um_each_of_tree(s);
	if (s->node != s->head)
		s->unknown = 1;
}

/* The address of a namespace in ``largest``. */
static __always_inline u64 um_space_of(struct um_spread *s, u64 word)
{
	u32 slot = (u32)word - 1;
	struct um_space *space;

	if (!(u32)word)
		return s->first;
	space = spaces.lookup(&slot);
	return space ? space->ns : 0;
}

/* The inum of the namespace, with its mounts above; 0 for none. */
static __always_inline u64 um_large_space(struct um_spread *s, int which)
{
	u64 word = s->largest[which], ns;

	if (!word)
		return 0;
	ns = um_space_of(s, word);
	return (word & ~0xffffffffULL) | (ns ? um_half_word(ns + UM_OFF_MNT_NS_INUM) : 0);
}

static __always_inline void um_send_spread(u32 tid, struct um_task *task, struct um_spread *s)
{
	u64 first, second, third;
	struct um_event *e;

	s->at = 0;
	__builtin_memset(s->largest, 0, sizeof(s->largest));
	um_each_space(s);
	if (s->at <= s->n) /* not all were seen */
		return;
	first = um_large_space(s, 0);
	second = um_large_space(s, 1);
	third = um_large_space(s, 2);
	um_notes_first(tid, task);
	e = um_reserve_of(task, tid, UM_SPREAD_OVER, bpf_ktime_get_ns());
	if (!e)
		return;
	e->mnt = task->mnt;
	e->a = first;
	*(u64 *)e->comm = second;
	*(u64 *)(e->comm + 8) = third;
	um_submit(e);
}

/* Sends of which namespaces most are, and returns how many there are plus 1; 0 unknown. */
static __always_inline u32 um_spread_ends(u32 tid, struct um_task *task, u64 mounts)
{
	struct um_spread *s = um_spread();
	u32 n;

	if (!s || task->spreads || (s->begun_ns != task->begun_ns && mounts))
		return 0;
	if (s->begun_ns != task->begun_ns)
		return 1;
	n = s->n;
	if (!s->unknown && !s->uncounted && n > 1)
		um_send_spread(tid, task, s);
	s->begun_ns = 0;
	return s->unknown ? 0 : n + 1;
}
#else
#define um_tree_begins(task, mnt, how)
#define um_tree_spreads(task, head)
#define um_spread_ends(tid, task, mounts) 0
#endif

#endif
