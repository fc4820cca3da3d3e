/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The mounts that namespace_unlock will put: how many they are, and how many of them somebody holds.
 * They are in the list `unmounted`, which is complete and under namespace_sem when namespace_unlock
 * begins, and empty when it waits for the grace period.
 */
#ifndef UMTRACE_VICTIMS_H
#define UMTRACE_VICTIMS_H

#include "mount.h"
#include "tasks.h"
#include "words.h"

/* How many are followed in the program itself. Most umounts take down one. */
#ifdef UM_BPF_LOOP
#define UM_FEW_VICTIMS 2
#else
#define UM_FEW_VICTIMS 2048
#endif

struct um_victims {
	u64 mounts; /* ~0 unknown */
	int held;   /* as ret of UM_UNLOCK */
};

#if defined(UM_ADDR_UNMOUNTED) && defined(UM_OFF_MOUNT_UMOUNT) && defined(UM_OFF_MOUNT_PCP) && \
	defined(UM_ADDR_PER_CPU_OFFSET) && defined(UM_CPUS)
#define UM_COUNTS_HELD

/* The counts of each CPU are read twice. A read that is a call costs too much for a large tree. */
#ifdef UM_WORD_TYPE
#define UM_HELD_READS 4096
#else
#define UM_HELD_READS 64
#endif
#define UM_READ_WHOLLY ((UM_HELD_READS + UM_CPUS - 1) / UM_CPUS)
#ifdef UM_BPF_LOOP
#define UM_MOST_HELD UM_READ_WHOLLY
#else
#define UM_MOST_HELD (UM_READ_WHOLLY < UM_FEW_VICTIMS ? UM_READ_WHOLLY : UM_FEW_VICTIMS)
#endif

/* __per_cpu_offset, which does not change after the boot. */
struct um_cpus {
	u64 known;
	u64 at[UM_CPUS];
};
BPF_ARRAY(cpus, struct um_cpus, 1);

static __always_inline struct um_cpus *um_cpus(void)
{
	u32 zero = 0;
	struct um_cpus *all = cpus.lookup(&zero);
	int i;

	if (!all || all->known)
		return all;
	for (i = 0; i < UM_CPUS; i++) {
		asm volatile("" : "+r"(i));
		all->at[i] = um_word(UM_ADDR_PER_CPU_OFFSET + i * 8);
	}
	all->known = 1;
	return all;
}

/* The verifier takes long for a loop in a loop. */
#if UM_CPUS <= 16
#define UM_EACH_CPU(i) _Pragma("unroll") for (i = 0; i < UM_CPUS; i++)
#define UM_OPAQUE(i)
#else
#define UM_EACH_CPU(i) for (i = 0; i < UM_CPUS; i++)
#define UM_OPAQUE(i) asm volatile("" : "+r"(i))
#endif

/* The sum that mnt_get_count() makes. A reference that moves to another CPU meanwhile can be missed. */
static __always_inline u32 um_sum(struct um_cpus *all, u64 pcp)
{
	u32 sum = 0;
	int i;

	UM_EACH_CPU(i) {
		UM_OPAQUE(i);
		sum += um_half_word(pcp + all->at[i] + UM_OFF_PCP_GETS);
#ifdef UM_OFF_PCP_PUTS
		sum -= um_half_word(pcp + all->at[i] + UM_OFF_PCP_PUTS);
#endif
	}
	return sum;
}

/*
 * Adds a mount to ``held``, and to ``moved`` if its two sums differ. ``own`` is the mount to which the
 * task itself has a reference. There is no branch, or the verifier would follow two paths a mount.
 */
static __always_inline void um_add_victim(struct um_cpus *all, u64 mnt, u64 own, u32 *held, u32 *moved)
{
	u64 pcp = um_word(mnt + UM_OFF_MOUNT_PCP), other = mnt ^ own;
	u32 first = um_sum(all, pcp), second = um_sum(all, pcp), expected;

	other |= -other;
	asm volatile("" : "+r"(other));
	expected = 2 - (u32)(other >> 63);
	expected -= first;
	asm volatile("" : "+r"(expected));
	*held += expected >> 31;
	*moved |= first ^ second;
}
#endif

/* The umount(2) has the path, and the close of a mount's file the file: both put it after the unlock. */
static __always_inline u64 um_own_reference(struct um_task *task)
{
	return task->origin == UM_BY_UMOUNT || task->origin == UM_BY_FD_CLOSE ? task->mnt : 0;
}

#ifdef UM_COUNTS_HELD
/* The list up to a mount. Under namespace_sem, which the umount has: there is one at a time. */
struct um_held {
	u64 node; /* of the next mount; 0 at the end */
	u64 own;
	u64 mounts;
	u32 held;
	u32 moved;
};

static __always_inline void um_next_victim(struct um_cpus *all, struct um_held *now)
{
	if (now->mounts < UM_MOST_HELD)
		um_add_victim(all, now->node - UM_OFF_MOUNT_UMOUNT, now->own, &now->held, &now->moved);
	now->mounts++;
	now->node = um_word(now->node);
}

#ifdef UM_BPF_LOOP
BPF_ARRAY(held, struct um_held, 1);

UM_STEP(held)
{
	u32 zero = 0;
	struct um_held *now = held.lookup(&zero);
	struct um_cpus *all = um_cpus();

	if (!now || !all || !now->node)
		return 1;
	um_next_victim(all, now);
	return 0;
}

/* Goes on to the end of the list, or as far as references are counted. */
static __always_inline void um_held_on(struct um_held *now)
{
	u32 zero = 0;
	struct um_held *state = held.lookup(&zero);

	if (!now->node || !state)
		return;
	*state = *now;
	um_each(UM_MOST_HELD, UM_STEP_HELD);
	*now = *state;
}
#else
#define um_held_on(now)
#endif

static __always_inline void um_count_victims(struct um_task *task, struct um_victims *victims)
{
	struct um_held now = {.node = um_word(UM_ADDR_UNMOUNTED), .own = um_own_reference(task)};
	struct um_cpus *all = um_cpus();
	int i;

	if (!all)
		return;
	for (i = 0; i < UM_FEW_VICTIMS; i++) {
		asm volatile("" : "+r"(i));
		if (!now.node)
			break;
		um_next_victim(all, &now);
	}
	um_held_on(&now);
	victims->mounts = um_count_on(now.node, now.mounts);
	if (victims->mounts > UM_MOST_HELD)
		victims->held = UM_HELD_TOO_MANY;
	else
		victims->held = now.moved ? UM_HELD_MOVED : (int)now.held + 1;
}
#else
static __always_inline void um_count_victims(struct um_task *task, struct um_victims *victims)
{
	victims->mounts = um_unmounted();
}
#endif

#endif
