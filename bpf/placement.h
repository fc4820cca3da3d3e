/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * How a handler is attached: as fentry and fexit where the kernel has trampolines and does not
 * preempt the programs in them, else as kprobe and kretprobe. A kretprobe does not see the
 * arguments, so the kprobe stores them by task.
 */
#ifndef UMTRACE_PLACEMENT_H
#define UMTRACE_PLACEMENT_H

#include "config.h"
#include <uapi/linux/ptrace.h>

#define UM_PARM0(ctx) PT_REGS_PARM1(ctx)
#define UM_PARM1(ctx) PT_REGS_PARM2(ctx)

#ifdef UM_FENTRY

#define UM_ENTRY(function) int um_entry_##function(u64 *ctx)
#define UM_RETURN(function) int um_return_##function(u64 *ctx)
#define UM_ARG(n) ctx[n]
#define UM_RETVAL(n_args) ctx[n_args]
#define UM_RETURN_ARG(n, stored) ctx[n]
/* An entry program that only stores an argument for the return is not needed. */
#define UM_COUNT_ENTRY(function) static __always_inline int um_unused_##function(u64 *ctx)
#define UM_HOT_ENTRY(function) UM_COUNT_ENTRY(function)
#define UM_HOT_RETURN(function) UM_RETURN(function)
#define UM_HOT_RETVAL(n_args) ctx[n_args]
#define UM_HOT_ARG(n, stored) ctx[n]
#define um_stash(slot, word)
#define um_save(word)
#define um_stashed(slot) 0

#else

#define UM_ENTRY(function) int um_entry_##function(struct pt_regs *ctx)
#define UM_RETURN(function) int um_return_##function(struct pt_regs *ctx)
#define UM_ARG(n) ((u64)UM_PARM##n(ctx))
#define UM_RETVAL(n_args) PT_REGS_RC(ctx)
#define UM_RETURN_ARG(n, stored) (stored)
#define UM_COUNT_ENTRY(function) UM_ENTRY(function)

/* A hot return may be fexit where the rest are kprobes: see umtrace/kernel/preemption.py. */
#ifdef UM_FENTRY_WALKS
#define UM_HOT_ENTRY(function) \
	static __always_inline int um_unused_##function(struct pt_regs *ctx)
#define UM_HOT_RETURN(function) int um_return_##function(u64 *ctx)
#define UM_HOT_RETVAL(n_args) ctx[n_args]
#define UM_HOT_ARG(n, stored) ctx[n]
#else
#define UM_HOT_ENTRY(function) UM_ENTRY(function)
#define UM_HOT_RETURN(function) UM_RETURN(function)
#define UM_HOT_RETVAL(n_args) UM_RETVAL(n_args)
#define UM_HOT_ARG(n, stored) (stored)
#endif

/* An LRU map, since it replaces the words of missed returns by itself. */
BPF_TABLE("lru_hash", u64, u64, stash, 8192);

static __always_inline u64 um_slot(u64 slot)
{
	return slot << 32 | (u32)bpf_get_current_pid_tgid();
}

static __always_inline void um_stash(u64 slot, u64 word)
{
	u64 key = um_slot(slot);

	stash.update(&key, &word);
}

static __always_inline u64 um_stashed(u64 slot)
{
	u64 key = um_slot(slot);
	u64 *word = stash.lookup(&key);

	return word ? *word : 0;
}

/*
 * For a function that every path walk calls and that never sleeps: an array costs a twentieth of
 * that map. Two tasks share an element if their ids differ by a multiple of UM_SAVED_SLOTS. If both
 * are inside at once, the return of one of them finds nothing.
 */
#define UM_SAVED_SLOTS 8192
struct um_saved {
	u64 word;
	u32 tid;
};
BPF_ARRAY(saved, struct um_saved, UM_SAVED_SLOTS);

static __always_inline void um_save(u64 word)
{
	u32 tid = bpf_get_current_pid_tgid(), slot = tid % UM_SAVED_SLOTS;
	struct um_saved *mine = saved.lookup(&slot);

	if (!mine)
		return;
	mine->tid = tid;
	mine->word = word;
}

static __always_inline u64 um_saved(void)
{
	u32 tid = bpf_get_current_pid_tgid(), slot = tid % UM_SAVED_SLOTS;
	struct um_saved *mine = saved.lookup(&slot);

	return mine && mine->tid == tid ? mine->word : 0;
}

#endif

/* Slots of the words that are stored between an entry and its return. */
#define UM_SLOT_CLEANUP 1
#define UM_SLOT_CLAIM 2

#endif
