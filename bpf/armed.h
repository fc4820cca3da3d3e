/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Mounts that have just been busy. The busy check itself arms a mount, so that who
 * drops the reference microseconds later is seen; the hot probes test one word as long
 * as nothing is armed. A mount is armed until a retry would succeed, or its time is up.
 */
#define UM_EBUSY 16

#ifdef UM_WITH_WALKERS
#define UM_ARMED_SLOTS 64
#define UM_ARMED_NS 1000000000ULL
#define UM_ARMED_EVENTS 64 /* of one arming; the put that frees the mount is always sent */

struct um_armed {
	u64 mnt;
	u64 until_ns;
	u32 budget;
	u32 unused;
};

BPF_ARRAY(armed_until, u64, 1); /* the latest of all slots, 0: nothing is armed */
BPF_ARRAY(armed, struct um_armed, UM_ARMED_SLOTS);

/* An argument of an fentry program is a typed pointer, which the verifier lets nobody shift. */
static __always_inline u64 um_plain(u64 pointer)
{
	u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), &pointer);
	return word;
}

/* Two mounts of one slot: the later one takes it, and what is known of the other stays unknown. */
static __always_inline struct um_armed *um_slot_of(u64 mnt)
{
	u32 slot = (u32)((mnt >> 6) ^ (mnt >> 13)) & (UM_ARMED_SLOTS - 1);

	return armed.lookup(&slot);
}

static __always_inline void um_arm(u64 mnt)
{
	u64 until_ns = bpf_ktime_get_ns() + UM_ARMED_NS, *latest;
	struct um_armed *slot = um_slot_of(um_plain(mnt));
	u32 zero = 0;

	latest = armed_until.lookup(&zero);
	if (!slot || !latest)
		return;
	slot->until_ns = until_ns;
	slot->budget = UM_ARMED_EVENTS;
	slot->mnt = mnt;
	*latest = until_ns;
}

/* The slot of a mount that is armed, else 0. */
static __always_inline struct um_armed *um_armed(u64 mnt)
{
	struct um_armed *slot;
	u32 zero = 0;
	u64 *latest = armed_until.lookup(&zero), now;

	if (!latest || !*latest)
		return 0;
	mnt = um_plain(mnt);
	slot = um_slot_of(mnt);
	if (slot && slot->mnt != mnt && slot->mnt)
		slot = 0;
	now = bpf_ktime_get_ns();
	if (now > *latest) {
		*latest = 0;
		return 0;
	}
	if (!slot || !slot->mnt)
		return 0;
	if (now <= slot->until_ns)
		return slot;
	slot->mnt = 0;
	return 0;
}

static __always_inline int um_spend(struct um_armed *slot)
{
	if (!slot->budget)
		return 0;
	slot->budget--;
	return 1;
}

/*
 * The sum that mnt_get_count makes, without its lock: -1 unknown. A reference that moves
 * to another CPU meanwhile can be missed, so what matters is counted twice.
 */
static __always_inline int um_references(u64 mnt)
{
#if defined(UM_OFF_MOUNT_PCP) && defined(UM_ADDR_PER_CPU_OFFSET)
	u64 pcp = 0, base;
	int sum = 0, i;

	bpf_probe_read_kernel(&pcp, sizeof(pcp), (void *)(mnt + UM_OFF_MOUNT_PCP));
	for (i = 0; i < UM_CPUS; i++) {
		int got = 0, put = 0;

		asm volatile("" : "+r"(i));
		base = 0;
		bpf_probe_read_kernel(&base, sizeof(base), (void *)(UM_ADDR_PER_CPU_OFFSET + i * 8));
		if (bpf_probe_read_kernel(&got, sizeof(got), (void *)(pcp + base + UM_OFF_PCP_GETS)))
			return -1;
#ifdef UM_OFF_PCP_PUTS
		bpf_probe_read_kernel(&put, sizeof(put), (void *)(pcp + base + UM_OFF_PCP_PUTS));
#endif
		sum += got - put;
	}
	return sum;
#else
	return -1;
#endif
}

/* References left plus 1 when an EBUSY returns; at 1 a retry would succeed. */
static __always_inline u32 um_left_after_busy(u64 mnt)
{
	struct um_armed *slot = um_armed(mnt);
	int left = slot ? um_references(mnt) : -1;

	if (left == 1 && um_references(mnt) == 1)
		slot->mnt = 0;
	else if (left == 1)
		left = -1;
	return left + 1;
}
#else
#define um_arm(mnt)
#define um_left_after_busy(mnt) 0
#endif
