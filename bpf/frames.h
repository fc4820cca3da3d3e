/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Kernel stacks: which of the functions given as UM_FN_* ("address, length"; 0, 0 where
 * unknown) are on the stack.
 */
#ifndef UMTRACE_FRAMES_H
#define UMTRACE_FRAMES_H

#include "addresses.h"
#include "config.h"
#include "event.h"

#define UM_FRAMES 127
struct um_frames {
	u64 ip[UM_FRAMES + 1];
};

/* sched_switch has a buffer of its own, since it may interrupt a program that uses the other one. */
#define UM_FRAMES_SWITCH 0
#define UM_FRAMES_CALL 1
BPF_PERCPU_ARRAY(frames, struct um_frames, 2);

/* Frames are counted from the innermost; the entry into the kernel is the last. */
static __always_inline int um_stack(void *ctx, struct um_frames *f)
{
	int bytes = bpf_get_stack(ctx, f->ip, UM_FRAMES * sizeof(u64), 0);

	return bytes < 0 ? -1 : (int)((u32)bytes >> 3);
}

/*
 * 1 if ip lies in the function, else 0. It has no branch, since the verifier would follow both
 * sides of every comparison of every frame.
 */
static __always_inline u64 um_in(u64 ip, u64 start, u64 length)
{
	u64 distance;

	if (!start) /* this kernel has no such function */
		return 0;
	distance = um_distance(ip, start);
	return ((distance - length) & ~distance) >> 63;
}
#define UM_IN(ip, function) um_in(ip, function)

static __always_inline int um_is_known(u64 start, u64 length)
{
	return start && length;
}
#define UM_IS_KNOWN(function) um_is_known(function)

#define UM_SCANNED 40 /* frames; the waits of an umount itself are no deeper than 25 */

static __always_inline u64 um_on_stack(struct um_frames *f, int n)
{
	u64 found = 0, in_lock = 0, ip, taker;
	int i;

	for (i = 0; i < UM_SCANNED; i++) {
		/* Hides i from the compiler, which would count down, and the verifier cannot follow that. */
		asm volatile("" : "+r"(i));
		if (i >= n)
			break;
		ip = f->ip[i];
		taker = UM_IN(ip, UM_FN_PATH_UMOUNT) | UM_IN(ip, UM_FN_PUT_NS) |
			    UM_IN(ip, UM_FN_DROP_COLLECTED);

		found |= UM_IN(ip, UM_FN_UNLOCK) * UM_ON_UNLOCK;
		found |= UM_IN(ip, UM_FN_RCU) * UM_ON_RCU;
		found |= (UM_IN(ip, UM_FN_RCU_NORMAL) | UM_IN(ip, UM_FN_RCU_NORMAL_PART) |
			  UM_IN(ip, UM_FN_WAIT_RCU_GP)) * UM_ON_RCU_NORMAL;
		found |= UM_IN(ip, UM_FN_FUNNEL) * UM_ON_FUNNEL;
		found |= UM_IN(ip, UM_FN_MUTEX) * UM_ON_MUTEX;
		found |= (taker & in_lock) * UM_ON_LOCK_TAKER;
		found |= UM_IN(ip, UM_FN_LOOKUP) * UM_ON_LOOKUP;
		found |= (UM_IN(ip, UM_FN_TASK_WORK) | UM_IN(ip, UM_FN_CLEANUP)) * UM_ON_TASK_WORK;
		found |= UM_IN(ip, UM_FN_PUT_NS) * UM_ON_PUT_NS;
		in_lock = UM_IN(ip, UM_FN_DOWN_WRITE) | UM_IN(ip, UM_FN_RWSEM_SLOW) |
			  UM_IN(ip, UM_FN_RWBASE);
	}
	return found;
}

/*
 * Whether the outermost frame is the entry into the kernel. The unwinder may stop before, and what it
 * did not reach may be on the stack.
 */
static __always_inline u64 um_is_whole(struct um_frames *f, int n)
{
	u32 last = n - 1;

	return last < UM_FRAMES && UM_IN(f->ip[last], UM_FN_ENTRY);
}

/* Task work is a few frames from the entry into the kernel, so the outermost frames are enough. */
static __always_inline u64 um_in_task_work(struct um_frames *f, int n)
{
	u64 found = 0;
	int i;

	for (i = 1; i <= 14; i++) {
		u32 at = n - i;

		if (at < UM_FRAMES)
			found |= UM_IN(f->ip[at], UM_FN_TASK_WORK);
	}
	return found;
}

#endif
