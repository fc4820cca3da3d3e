/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The mounts that namespace_unlock will put: how many they are, and how many of them somebody holds.
 * They are in the list `unmounted`, which is complete and under namespace_sem when namespace_unlock
 * begins, and empty when it waits for the grace period.
 */
#ifndef UMTRACE_VICTIMS_H
#define UMTRACE_VICTIMS_H

#include "tasks.h"
#include "unmounted.h"
#include "words.h"

#define UM_FEW_VICTIMS 2048 /* one by one */

struct um_victims {
	u64 mounts; /* ~0 unknown */
	int held;   /* as ret of UM_UNLOCK */
};

#if defined(UM_OFF_MOUNT_UMOUNT) && defined(UM_OFF_MOUNT_PCP) && \
	defined(UM_ADDR_PER_CPU_OFFSET) && defined(UM_CPUS)
#define UM_COUNTS_HELD

/* The counts of each CPU are read twice. A read that is a call costs too much for a large tree. */
#ifdef UM_WORD_TYPE
#define UM_HELD_READS 4096
#else
#define UM_HELD_READS 64
#endif
#define UM_MOST_HELD ((UM_HELD_READS + UM_CPUS - 1) / UM_CPUS)

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

static __always_inline void um_count_victims(struct um_task *task, struct um_victims *victims)
{
#ifdef UM_ADDR_UNMOUNTED
	u64 node = um_word(UM_ADDR_UNMOUNTED);
	int i;
#ifdef UM_COUNTS_HELD
	struct um_cpus *all = um_cpus();
	u64 own = um_own_reference(task);
	u32 held = 0, moved = 0;

	if (!all)
		return;
#endif
	for (i = 0; i < UM_FEW_VICTIMS; i++) {
		asm volatile("" : "+r"(i));
		if (!node)
			goto counted;
#ifdef UM_COUNTS_HELD
		if (i < UM_MOST_HELD)
			um_add_victim(all, node - UM_OFF_MOUNT_UMOUNT, own, &held, &moved);
#endif
		node = um_word(node);
	}
	victims->held = UM_HELD_TOO_MANY;
	victims->mounts = um_count_on(node, i);
	return;
counted:
	victims->mounts = i;
#ifdef UM_COUNTS_HELD
	if (i > UM_MOST_HELD)
		victims->held = UM_HELD_TOO_MANY;
	else
		victims->held = moved ? UM_HELD_MOVED : (int)held + 1;
#endif
#endif
}

#endif
