/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Mounts that have just been busy. The busy check itself arms a mount, so that the task that
 * drops the reference microseconds later is seen. While no mount is armed, the hot probes only
 * test one word. A mount stays armed until a retry would succeed, or until its time is up.
 */
#ifndef UMTRACE_ARMED_H
#define UMTRACE_ARMED_H

#include "mount.h"

/*
 * The sum that mnt_get_count makes, without its lock; -1 if unknown. A reference that moves
 * to another CPU meanwhile can be missed, so a count that a decision depends on is made twice.
 */
static __always_inline int um_references(u64 mnt)
{
#if defined(UM_OFF_MOUNT_PCP) && defined(UM_ADDR_PER_CPU_OFFSET) && defined(UM_CPUS)
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
#ifdef UM_PUTS_HIDDEN
#define UM_HIDES_PUTS 1
#else
#define UM_HIDES_PUTS 0
#endif
#define UM_ARMED_SLOTS 64
#define UM_ARMED_NS 1000000000ULL
#define UM_ARMED_EVENTS 24 /* walks and puts that are sent per arming: enough to name the tasks */
#define UM_ARMED_EARLIER 64 /* puts that are sent of references from before the busy check */

struct um_armed {
	u64 mnt;
	u64 since_ns; /* the first busy check, which separates earlier references from later ones */
	u64 until_ns;
	u64 moves; /* goes up with every reference taken or put */
	u32 inside; /* references taken since, and not put yet */
	u32 budget, earlier;
	u16 settled; /* the references of the time of the check were seen to be gone */
	u16 blind; /* not all is seen: no probes yet, or a reference not noted, a put not sent */
};

/* The references that a task has taken since a mount was armed. */
struct um_taken {
	u64 mnt, since_ns;
	u32 tid, count;
};

/*
 * By task id modulo the size. The put of a reference is often not seen, since it comes too late or
 * in another task. In a hash map such entries would stay until the map is full.
 */
#define UM_TAKERS 8192
BPF_ARRAY(taken, struct um_taken, UM_TAKERS);
BPF_TABLE("lru_hash", u64, u8, walked, 8192); /* processes with a path walk since, by arming */
BPF_ARRAY(armed_until, u64, 1); /* the latest of all slots, 0: nothing is armed */
BPF_ARRAY(armed, struct um_armed, UM_ARMED_SLOTS);

/* Of two mounts with the same slot, the later one takes it; the earlier one is no longer watched. */
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
	/* At 0 a walker found the time up just now: the mount was not armed for a while. */
	if (!*latest || slot->mnt != mnt || now > slot->until_ns ||
	    (slot->blind && um_watching() && !UM_HIDES_PUTS)) {
		slot->mnt = 0;
		slot->since_ns = now;
		slot->inside = slot->settled = 0;
		slot->blind = UM_HIDES_PUTS || !um_watching();
		slot->budget = UM_ARMED_EVENTS;
		slot->earlier = UM_ARMED_EARLIER;
		slot->until_ns = *latest = now + UM_ARMED_NS;
		slot->mnt = mnt;
		return;
	}
	/* If a walker has disarmed the mount a moment ago, the next busy check starts a new arming. */
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

/* The mount is about to be freed: the next one in its memory was not busy. */
static __always_inline void um_disarm(u64 mnt)
{
	struct um_armed *slot = um_any_armed() ? um_slot_of(um_to_scalar(mnt)) : 0;

	if (slot && slot->mnt == um_to_scalar(mnt))
		slot->mnt = 0;
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
 * The task walks on into another mount while it holds a reference to this one, or another task
 * needs its element. The put of this reference will not be recognised, so this mount is not fully
 * seen any more.
 */
static __always_inline void um_mark_blind(struct um_taken *mine)
{
	struct um_armed *slot = um_slot_of(mine->mnt);

	if (slot && slot->mnt == mine->mnt && slot->since_ns == mine->since_ns)
		slot->blind = 1;
}

/* Called after the task took a reference. */
static __always_inline void um_take(struct um_armed *slot, u64 mnt)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct um_taken *mine = um_taken_by(tid);

	mnt = um_to_scalar(mnt);
	if (slot->mnt != mnt || !mine)
		return;
	if (mine->count && (mine->tid != tid || mine->mnt != mnt))
		um_mark_blind(mine);
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
 * Called before the task puts a reference: returns whether the task took it since the busy check.
 * ``inside`` changes before ``moves``. A program that counts references reads ``moves`` first, so it
 * never pairs a new ``moves`` with an old ``inside``.
 */
static __always_inline int um_put_taken(struct um_armed *slot, u64 mnt)
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

/* The task puts a reference of a path walk, which may have opened a file. */
static __always_inline void um_has_walked(struct um_armed *slot)
{
	u64 key = um_process(slot);
	u8 yes = 1;

	if (!walked.lookup(&key))
		walked.update(&key, &yes);
}

/* Whether its process has put such references since. If not, it opened no file since, either. */
static __always_inline int um_may_have_opened(struct um_armed *slot)
{
	u64 key = um_process(slot);

	return walked.lookup(&key) != 0;
}

/*
 * A number for this arming of the mount, different from the number of the next one. Within one
 * arming everything was seen, except for probe hits that the kernel skipped, which the reader of
 * the ring counts.
 */
static __always_inline u64 um_arming(struct um_armed *slot)
{
	u64 number = (slot->since_ns >> UM_ARMING_NS_SHIFT) & UM_ARMING_MASK;

	return (number ? number : 1) << UM_ARMING_SHIFT;
}

/*
 * Counts the references, and returns whether those of the time of the check are gone: then the
 * references counted now, except ``own``, were all taken since. A count that shows this, or that
 * shows a free mount, is made twice. If a reference moved in between, the count is unknown.
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
 * When path_umount begins: it puts the reference of the umount's own path walk, where no other
 * probe sees it. It is counted here and not at the return, since ``inside`` would be too high by
 * one between that put and the return.
 */
static __always_inline void um_umount_puts(u64 mnt)
{
	struct um_armed *slot = um_armed(mnt);

	if (slot)
		um_put_taken(slot, mnt);
}

/*
 * When an umount returns. After an EBUSY it returns the references left plus 1; with 1 reference
 * left a retry would succeed. After a success the mount is disarmed, since its address may soon
 * belong to another mount. ``bits`` is ``a`` of UM_PATH_UMOUNT_EXIT.
 */
static __always_inline u32 um_umount_returns(u64 mnt, int ret, u64 *bits)
{
	struct um_armed *slot = um_armed(mnt);
	int left;

	if (!slot)
		return 0;
	if (!um_watching())
		slot->blind = 1;
	if (!slot->blind)
		*bits = um_arming(slot);
	if (!ret)
		slot->mnt = 0;
	if (ret != -UM_EBUSY)
		return 0;
	*bits |= um_initial_refs_gone(slot, mnt, 0, &left);
	if (left == 1)
		slot->mnt = 0;
	return left + 1;
}
#else
#define um_arm(mnt)
#define um_disarm(mnt)
#define um_umount_puts(mnt)
#define um_umount_returns(mnt, ret, bits) 0
#endif

#endif
