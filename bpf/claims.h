/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Claims of block devices that succeed soon after an umount. A shutdown that is put off would have
 * turned them into EBUSY. The probe of the claim looks up when a file system on the device was
 * unmounted; without that, each mount and each mkfs of the host would send an event.
 */
#ifndef UMTRACE_CLAIMS_H
#define UMTRACE_CLAIMS_H

#include "caller.h"
#include "tasks.h"

#define UM_CLAIM_SLOTS 1024
#define UM_CLAIM_NS 10000000000ULL /* umtrace/whatif/claims.py has the same */
#define UM_CLAIMS 64 /* of a slot between two umounts: a loop of claims cannot fill the ring */
#define UM_MAJOR(dev) ((dev) >> 20)

/*
 * By the number of the device. An array, since an update of an LRU map takes twenty times as long,
 * and has elements per CPU. Two devices may share a slot. Then claims of the other one are sent,
 * too, and user space compares the numbers.
 */
struct um_vacated {
	u64 ts_ns;
	u64 left; /* claims that are sent until the next umount */
};
BPF_ARRAY(vacated, struct um_vacated, UM_CLAIM_SLOTS);

static __always_inline struct um_vacated *um_vacated_of(u32 dev)
{
	u32 slot = (dev + UM_MAJOR(dev) * 37) & (UM_CLAIM_SLOTS - 1);

	return vacated.lookup(&slot);
}

/* Of overlay, tmpfs and the like the number is no device that anybody could claim. */
static __always_inline void um_vacates(u32 dev, u64 ts)
{
	struct um_vacated *slot;

	if (!UM_MAJOR(dev))
		return;
	slot = um_vacated_of(dev);
	if (!slot)
		return;
	slot->left = UM_CLAIMS;
	slot->ts_ns = ts;
}

static __always_inline void um_claimed(u32 dev)
{
	struct um_vacated *slot = um_vacated_of(dev);
	u64 ts = bpf_ktime_get_ns(), left;
	struct um_event *e;
	int syscall;

	if (!slot || !slot->ts_ns || ts - slot->ts_ns > UM_CLAIM_NS)
		return;
	left = slot->left;
	if (!left)
		return;
	slot->left = --left;
	syscall = um_syscall(); /* before e: 5.10 does not follow one that may be 0 over a call */
	e = um_foreign(UM_CLAIMED, 0, ts);
	if (!e)
		return;
	e->ret = syscall;
	e->a = left;
	e->b = dev;
	um_submit(e);
}

#endif
