/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Counts the rest of a list of mounts that is longer than a program follows by itself. */
#ifndef UMTRACE_UNMOUNTED_H
#define UMTRACE_UNMOUNTED_H

#include "steps.h"
#include "words.h"

#ifdef UM_BPF_LOOP
/* Under namespace_sem, which the umount has: there is one at a time. */
struct um_rest {
	u64 node;
	u64 mounts;
};
BPF_ARRAY(rest, struct um_rest, 1);

UM_STEP(victim)
{
	u32 zero = 0;
	struct um_rest *now = rest.lookup(&zero);

	if (!now || !now->node)
		return 1;
	now->mounts++;
	now->node = um_word(now->node);
	return 0;
}

/* ``mounts`` and those from ``node`` on; ~0 if they are too many. */
static __always_inline u64 um_count_on(u64 node, u64 mounts)
{
	u32 zero = 0;
	struct um_rest *now = rest.lookup(&zero);

	if (!now)
		return ~0ULL;
	now->node = node;
	now->mounts = mounts;
	um_each(UM_MOST_STEPS, UM_STEP_VICTIM);
	return now->node ? ~0ULL : now->mounts;
}
#else
/* The verifier follows a path for each branch, so there is one for each block. */
#define UM_BLOCK 32
#define UM_BLOCKS 192 /* with the mounts before, 8,192 */

static __always_inline u64 um_count_on(u64 node, u64 mounts)
{
	u64 some;
	int i, j;

	for (i = 0; i < UM_BLOCKS; i++) {
		asm volatile("" : "+r"(i));
		if (!node)
			return mounts;
		UM_UNROLL
		for (j = 0; j < UM_BLOCK; j++) {
			some = node;
			some |= -some;
			asm volatile("" : "+r"(some));
			mounts += some >> 63;
			node = um_word(node);
		}
	}
	return node ? ~0ULL : mounts;
}
#endif

#endif
