/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Births and deaths of cgroups: the cgroup of a container is gone a few milliseconds after its
 * last umount, and then nothing gives its path for its id any more.
 *
 * Nobody is woken for it, since no number that is measured depends on it, unless the ring fills.
 */
#include "emit.h"

#define UM_BIRTH_PAGES 512
#define UM_BIRTH_EIGHTH (UM_BIRTH_PAGES * PAGE_SIZE / 8)

BPF_RINGBUF_OUTPUT(births, UM_BIRTH_PAGES);

/*
 * cgroup:cgroup_mkdir and cgroup_rmdir. The event's format gives the offsets (UM_AT_*): until 6.1,
 * PREEMPT_RT has a longer header. The lower half of its path is the offset of the text.
 */
static __always_inline int um_cgroup(char *ctx, u32 gone)
{
#ifdef UM_AT_CGROUP_ID
	struct um_birth *b;
	long len;

	if (*(u32 *)(ctx + UM_AT_CGROUP_ROOT)) /* of a v1 hierarchy, which has ids of its own */
		return 0;
	b = births.ringbuf_reserve(sizeof(struct um_birth));
	if (!b) {
		um_lost(UM_LOSS_BIRTH);
		return 0;
	}
	*(volatile u64 *)b = (u64)b;
	if ((*(volatile u64 *)b & (UM_BIRTH_EIGHTH - 1)) < 8 + sizeof(struct um_birth))
		um_ring(UM_BELL_FILL);
	b->id = *(u64 *)(ctx + UM_AT_CGROUP_ID);
	b->gone = gone;
	len = bpf_probe_read_kernel_str(b->path, UM_BIRTH_TEXT,
					ctx + (*(u32 *)(ctx + UM_AT_CGROUP_PATH) & 0xffff));
	b->len = len > 0 ? len : 0;
	births.ringbuf_submit(b, UM_NO_WAKEUP);
#endif
	return 0;
}

int um_cgroup_mkdir(char *ctx)
{
	return um_cgroup(ctx, 0);
}

int um_cgroup_rmdir(char *ctx)
{
	return um_cgroup(ctx, 1);
}
