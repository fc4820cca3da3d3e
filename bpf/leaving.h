/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The way out of an umount: the call is over, but its task may have mounts to clean up, as task work
 * on the return to user mode. Where the task's list of work can be read, the last of these mounts
 * ends the operation, or the call itself if there is none. Elsewhere the task's next system call
 * ends it, and to see that one, every system call of the host is probed.
 */
#ifndef UMTRACE_LEAVING_H
#define UMTRACE_LEAVING_H

#include "frames.h"
#include "tasks.h"
#include "words.h"

static __always_inline void um_finish(u32 tid, struct um_task *task, u64 how)
{
	um_closing(task);
	um_returned(tid, task, how);
	um_forget(tid, task);
}

/*
 * For a task in phase LEAVING that calls umount_tree with no cleanup_mnt on its stack: whether this
 * is a new operation, and the end of the old one was missed, because the kernel skipped a hit of
 * cleanup_mnt. On the way out, only the close of a file takes further mounts down, and an operation
 * of umount(2) closes none.
 */
static __always_inline int um_missed_end(struct um_task *task)
{
	return task->phase == UM_LEAVING && (task->cleaning || task->origin == UM_BY_UMOUNT);
}

#ifdef UM_ENDS_BY_WORK
/*
 * Works counted at once, a bound since the verifier walks through each step. If there are more,
 * the cleanup of the last counted mount counts the rest.
 */
#define UM_MOST_WORKS 128

struct um_work { /* struct callback_head */
	u64 next, function;
};

static __always_inline void um_read_work(struct um_work *work, u64 at)
{
#ifdef UM_WORD_TYPE
	work->next = um_word(at);
	work->function = um_word(at + 8);
#else
	if (bpf_probe_read_kernel(work, sizeof(*work), (void *)at))
		work->next = work->function = 0;
#endif
}

/*
 * Counts the mounts to clean up in a list of work, from ``next`` on. The result, and whether the
 * list is longer, go into ``task``.
 */
static __always_inline void um_count_cleanups(struct um_task *task, u64 next)
{
	struct um_work work;
	u32 found = 0;
	int i;

	task->uncounted = 0;
	for (i = 0; i < UM_MOST_WORKS; i++) {
		asm volatile("" : "+r"(i));
		if (!next)
			goto out;
		um_read_work(&work, next);
		found += UM_IN(work.function, UM_FN_CLEANUP_WORK);
		next = work.next;
	}
	task->uncounted = 1;
out:
	task->cleanups = found;
}

static __always_inline void um_count_own_cleanups(struct um_task *task)
{
	um_count_cleanups(task, um_word((u64)bpf_get_current_task() + UM_OFF_TASK_WORKS));
}

/*
 * Called before a cleanup_mnt. By then the kernel has taken the whole list off the task, and the
 * rest of the list follows the work of this mount.
 */
static __always_inline void um_cleaning(struct um_task *task, u64 mnt)
{
	if (task->cleaning++ || !task->uncounted || task->cleanups > 1)
		return;
	um_count_cleanups(task, um_word(mnt + UM_OFF_MOUNT_RCU));
	task->cleanups++;
}

static __always_inline void um_swap(struct um_task *one, struct um_task *other)
{
	struct um_task first = *one;

	*one = *other;
	*other = first;
}

/*
 * The task is in two operations, and the current one has cleaned up its last mount. If that is the
 * outer one, the works that are left belong to the inner one. If it is the inner one, and no work
 * is left, both are over.
 */
static __always_inline void um_done_of_two(u32 tid, struct um_task *task)
{
	struct um_task *waiting = parked.lookup(&tid);
	u32 left = task->cleanups;

	if (waiting && left && !task->lane) {
		um_swap(task, waiting);
		waiting->other = 0;
		task->other = 1;
		task->cleanups = left;
		return;
	}
	if (left)
		return;
	if (task->lane) {
		um_returned(tid, task, UM_RETURNED_NO_WORK);
		um_end_parked(tid, task, UM_RETURNED_OUTER);
		um_forget(tid, task);
	} else {
		um_end_parked(tid, task, UM_RETURNED_NO_WORK);
		um_finish(tid, task, UM_RETURNED_OUTER);
	}
}

/* After a cleanup_mnt: whether more mounts of this run of the task's work are due, and nothing else. */
static __always_inline int um_more_follow(struct um_task *task)
{
	if (task->phase != UM_LEAVING || task->cleanups <= 1)
		return 0;
	task->cleaning = 0;
	task->cleanups--;
	return 1;
}

/* Whether the task may be done with its operation after the cleanup_mnt that it is in. */
static __always_inline int um_may_be_last(struct um_task *task)
{
	return task->phase == UM_LEAVING && task->cleaning == 1 && task->cleanups <= 1 && !task->other &&
	       !task->silent;
}

/* Called after a cleanup_mnt, which may have added work for mounts that were attached below. */
static __always_inline void um_cleaned(u32 tid, struct um_task *task)
{
	if (task->cleaning)
		task->cleaning--;
	if (task->phase != UM_LEAVING || task->cleaning)
		return;
	if (task->cleanups > 1) {
		task->cleanups--;
		return;
	}
	um_count_own_cleanups(task);
	if (task->other) {
		um_done_of_two(tid, task);
		return;
	}
	if (!task->cleanups) {
		um_before_returned(tid, task);
		um_note(tid, task, UM_RETURNED, 0, 0, UM_RETURNED_NO_WORK, 0);
	}
	um_send_notes(tid, task, 2); /* with the end of the cleanup, which is noted if it may be the last */
	if (!task->cleanups)
		um_forget(tid, task);
}

/* Not 0 if mounts that the task has just taken down are still to be cleaned up. */
static __always_inline u32 um_left(struct um_task *task)
{
	um_count_own_cleanups(task);
	return task->cleanups || task->uncounted;
}
#else
#define um_cleaning(task, mnt) ((task)->cleaning++)
#define um_left(task) 1
#define um_more_follow(task) 0
#define um_may_be_last(task) 0

static __always_inline void um_cleaned(u32 tid, struct um_task *task)
{
	if (task->cleaning)
		task->cleaning--;
}
#endif

/* The inner one of two operations has put its mounts, and the outer one continues. */
static __always_inline void um_inner_ends(u32 tid, struct um_task *task)
{
	struct um_task *outer = parked.lookup(&tid), inner;
	u32 left = um_left(task);

	if (!left)
		um_returned(tid, task, UM_RETURNED_NO_WORK);
	task->phase = UM_LEAVING;
	if (!outer)
		return;
	inner = *task;
	*task = *outer;
	if (!left) {
		parked.delete(&tid);
		return;
	}
	*outer = inner;
	task->other = 1;
}

/* With ``more``, another mount may be put later on the same way out. */
static __always_inline void um_begin_exit_work(u32 tid, struct um_task *task, int more)
{
	struct um_active *n = um_active();

	if (!n)
		return;
#ifdef UM_ENDS_BY_WORK
	um_count_own_cleanups(task);
	if (!task->cleanups && !task->uncounted) {
		if (!more) {
			um_finish(tid, task, UM_RETURNED_NO_WORK);
			return;
		}
		task->unended = 1;
		__sync_fetch_and_add(&n->unended, 1);
	}
#endif
	task->leaves = 1;
	__sync_fetch_and_add(&n->leaving, 1);
	*(volatile u16 *)&task->phase = UM_LEAVING; /* the last thing: from here on a switch may end it */
}

#endif
