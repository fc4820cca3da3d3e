/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Mounts that have just been busy. The busy check itself arms a mount, so that who
 * drops the reference microseconds later is seen; the hot probes test one word as long
 * as nothing is armed. A mount is armed until a retry would succeed, or its time is up.
 */
#ifndef UMTRACE_ARMED_H
#define UMTRACE_ARMED_H

#include "mount.h"

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

#ifdef UM_WITH_WALKERS
#define UM_ARMED_SLOTS 64
#define UM_ARMED_NS 1000000000ULL
#define UM_ARMED_EVENTS 24 /* of those that come and go while it is armed: enough to name them */
#define UM_ARMED_EARLIER 64 /* puts of those that were in before */

struct um_armed {
	u64 mnt;
	u64 since_ns; /* the first busy check; references taken later are told from earlier ones */
	u64 until_ns;
	u64 moves; /* goes up with every reference taken or put */
	u32 inside; /* references taken since, and not put yet */
	u32 budget, earlier;
	u16 settled; /* those at the check were seen to be gone */
	u16 blind; /* not all is seen: no probes yet, or a reference not noted, a put not sent */
};

/* What a task has taken since a mount was armed. */
struct um_taken {
	u64 mnt, since_ns;
	u32 tid, count;
};

/*
 * By task id modulo the size. The put of what was taken is often not seen (it comes too late, or in
 * another task): in a hash map such entries would stay until it is full.
 */
#define UM_TAKERS 8192
BPF_ARRAY(taken, struct um_taken, UM_TAKERS);
BPF_TABLE("lru_hash", u64, u8, walked, 8192); /* processes that walked in and out since, by arming */
BPF_ARRAY(armed_until, u64, 1); /* the latest of all slots, 0: nothing is armed */
BPF_ARRAY(armed, struct um_armed, UM_ARMED_SLOTS);

/* An argument of an fentry program is a typed pointer, which the verifier lets nobody shift. */
static __always_inline u64 um_to_scalar(u64 pointer)
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
	u64 now = bpf_ktime_get_ns(), *latest;
	struct um_armed *slot = um_slot_of(um_to_scalar(mnt));
	u32 zero = 0;

	latest = armed_until.lookup(&zero);
	if (!slot || !latest)
		return;
	/* Nothing was armed meanwhile: a walker found the time up as this one was armed. */
	if (!*latest || slot->mnt != mnt || now > slot->until_ns ||
	    (slot->blind && um_watching())) {
		slot->mnt = 0;
		slot->since_ns = now;
		slot->inside = slot->settled = 0;
		slot->blind = !um_watching();
		slot->budget = UM_ARMED_EVENTS;
		slot->earlier = UM_ARMED_EARLIER;
		slot->until_ns = *latest = now + UM_ARMED_NS;
		slot->mnt = mnt;
		return;
	}
	/* Whoever found the time up a moment ago has disarmed it: then the next check begins anew. */
	slot->until_ns = *latest = now + UM_ARMED_NS;
	if (!um_watching())
		slot->blind = 1;
}

static __always_inline int um_any_armed(void)
{
	u32 zero = 0;
	u64 *latest = armed_until.lookup(&zero);

	return latest && *latest;
}

/* The slot of a mount that is armed, else 0. */
static __always_inline struct um_armed *um_armed(u64 mnt)
{
	struct um_armed *slot;
	u32 zero = 0;
	u64 *latest = armed_until.lookup(&zero), now;

	if (!latest || !*latest)
		return 0;
	mnt = um_to_scalar(mnt);
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

static __always_inline int um_take_budget(u32 *budget)
{
	if (!*budget)
		return 0;
	--*budget;
	return 1;
}

static __always_inline struct um_taken *um_taken_by(u32 tid)
{
	u32 slot = tid % UM_TAKERS;

	return taken.lookup(&slot);
}

/*
 * A task that holds one of a busy mount walks on into another, or another task takes its element: of
 * the first, its put is not told.
 */
static __always_inline void um_leave_silently(struct um_taken *mine)
{
	struct um_armed *slot = um_slot_of(mine->mnt);

	if (slot && slot->mnt == mine->mnt && slot->since_ns == mine->since_ns)
		slot->blind = 1;
}

/* After the task took a reference. */
static __always_inline void um_take(struct um_armed *slot, u64 mnt)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct um_taken *mine = um_taken_by(tid);

	mnt = um_to_scalar(mnt);
	if (slot->mnt != mnt || !mine)
		return;
	if (mine->count && (mine->tid != tid || mine->mnt != mnt))
		um_leave_silently(mine);
	if (mine->tid != tid || mine->mnt != mnt || mine->since_ns != slot->since_ns) {
		mine->tid = tid;
		mine->mnt = mnt;
		mine->since_ns = slot->since_ns;
		mine->count = 0;
	}
	mine->count++;
	__sync_fetch_and_add(&slot->moves, 1);
	__sync_fetch_and_add(&slot->inside, 1);
}

/*
 * Before the task puts one: whether it is one that it took since. ``inside`` first: who counts
 * reads ``moves`` before it, and must not find the old one of these and the new one of those.
 */
static __always_inline int um_untake(struct um_armed *slot, u64 mnt)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct um_taken *mine = um_taken_by(tid);
	int since = mine && mine->tid == tid && mine->count && mine->mnt == um_to_scalar(mnt) &&
		    mine->since_ns == slot->since_ns;

	if (since) {
		__sync_fetch_and_add(&slot->inside, -1);
		mine->count--;
	}
	__sync_fetch_and_add(&slot->moves, 1);
	return since;
}

static __always_inline u64 um_process(struct um_armed *slot)
{
	return (bpf_get_current_pid_tgid() & ~0xffffffffULL) | (u32)(slot->since_ns >> 10);
}

/* The task puts a reference of a path walk, maybe of one that leaves a file open. */
static __always_inline void um_has_walked(struct um_armed *slot)
{
	u64 key = um_process(slot);
	u8 yes = 1;

	if (!walked.lookup(&key))
		walked.update(&key, &yes);
}

/* Whether its process has put such ones since: else it opened nothing since, either. */
static __always_inline int um_may_have_opened(struct um_armed *slot)
{
	u64 key = um_process(slot);

	return walked.lookup(&key) != 0;
}

/*
 * Tells one arming of a mount from the next. Meanwhile everything was seen, but for hits that the
 * kernel skipped: these are counted by the reader of the ring.
 */
static __always_inline u64 um_arming(struct um_armed *slot)
{
	u64 number = (slot->since_ns >> UM_ARMING_NS_SHIFT) & UM_ARMING_MASK;

	return (number ? number : 1) << UM_ARMING_SHIFT;
}

/*
 * Counts the references, and says whether those that were there at the check have gone: then
 * those counted now, ``own`` apart, were all taken since. A count that decides, this way or by
 * being that of a free mount, is made twice; where somebody moved meanwhile it is not known.
 */
static __always_inline int um_initial_refs_gone(struct um_armed *slot, u64 mnt, int own, int *now)
{
	u64 moves = *(volatile u64 *)&slot->moves;
	int inside = *(volatile u32 *)&slot->inside, settles;

	*now = um_references(mnt);
	settles = *now >= 0 && !slot->settled && !slot->blind && *now - 1 - own <= inside;
	if (!settles && *now != 1 + own)
		return 0;
	if (!um_watching() || um_references(mnt) != *now ||
	    *(volatile u64 *)&slot->moves != moves) {
		*now = -1;
		return 0;
	}
	if (settles)
		slot->settled = 1;
	return settles;
}

/*
 * When path_umount begins, which puts what the umount's own walk took, unseen by other probes. Not
 * when it returns: in between, one reference fewer would be there than ``inside`` says.
 */
static __always_inline void um_umount_puts(u64 mnt)
{
	struct um_armed *slot = um_armed(mnt);

	if (slot)
		um_untake(slot, mnt);
}

/*
 * When an umount returns. After an EBUSY: references left plus 1; at 1 a retry would succeed.
 * After a success: the address may be another mount's soon. ``said`` is what the event says
 * beside it.
 */
static __always_inline u32 um_umount_returns(u64 mnt, int ret, u64 *said)
{
	struct um_armed *slot = um_armed(mnt);
	int left;

	if (!slot)
		return 0;
	if (!um_watching())
		slot->blind = 1;
	if (!slot->blind)
		*said = um_arming(slot);
	if (!ret)
		slot->mnt = 0;
	if (ret != -UM_EBUSY)
		return 0;
	*said |= um_initial_refs_gone(slot, mnt, 0, &left);
	if (left == 1)
		slot->mnt = 0;
	return left + 1;
}
#else
#define um_arm(mnt)
#define um_umount_puts(mnt)
#define um_umount_returns(mnt, ret, said) 0
#endif

#endif
