/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The tasks that are followed: those inside an umount, on the way out of one, or about
 * to take a mount namespace down with them. Shared by all tiers.
 */
#ifndef UMTRACE_TASKS_H
#define UMTRACE_TASKS_H

#include "emit.h"
#include "notes.h"
#include "task.h"
#include "words.h"

/* How many tasks are followed, and how many of them are LEAVING: tested before any look-up. */
struct um_active {
	u32 followed;
	u32 leaving;
	u32 unended; /* how many of those have task.unended; read by user space */
	u32 displaced; /* how many are followed in the hash map */
	u32 checking;  /* how many are in propagate_mount_busy; may be too high after a skipped hit */
};

BPF_ARRAY(active, struct um_active, 1);

/*
 * A task's entry lies in an array, at its id modulo the size: a look-up takes a fifth of a hash
 * map's. Where two tasks that are followed at once share a place, the later one is in the map.
 */
BPF_ARRAY(tasks, struct um_task, UM_TASK_SLOTS);
BPF_ARRAY(slot_users, u32, UM_TASK_SLOTS); /* a task has the place if it was counted as the first */
BPF_HASH(displaced, u32, struct um_task, UM_MAX_TASKS);
BPF_ARRAY(no_task, struct um_task, 1); /* is never written */

/*
 * A task can be in two operations at once: cleanup_mnt may put the last reference to a mount
 * namespace. The one that waits is here: the outer one while the inner one takes mounts down, then
 * the inner one until the outer one has cleaned up its mounts.
 */
#define UM_MAX_PARKED 1024
BPF_HASH(parked, u32, struct um_task, UM_MAX_PARKED);

/*
 * Set by user space once everything is attached. Before that, an exit without its entry is no
 * umount that was in progress at the start: the entry may have been without a probe.
 */
BPF_ARRAY(all_there, u32, 1);

static __always_inline int um_all_there(void)
{
	u32 zero = 0, *yes = all_there.lookup(&zero);

	return yes && *yes;
}

static __always_inline struct um_active *um_active(void)
{
	u32 zero = 0;

	return active.lookup(&zero);
}

static __always_inline struct um_task *um_task_slot(u32 tid)
{
	u32 slot = tid & (UM_TASK_SLOTS - 1);

	return tasks.lookup(&slot);
}

/* The entry of a task that is followed, else 0. The idle task, with id 0, is never followed. */
static __always_inline struct um_task *um_task_of(u32 tid)
{
	struct um_task *task = um_task_slot(tid);
	struct um_active *n;

	if (!tid || !task || task->tid == tid)
		return tid ? task : 0;
	n = um_active();
	return n && n->displaced ? displaced.lookup(&tid) : 0;
}

static __always_inline void um_not_leaving(struct um_active *n, u8 leaves, u8 unended)
{
	if (leaves)
		__sync_fetch_and_add(&n->leaving, -1);
	if (unended)
		__sync_fetch_and_add(&n->unended, -1);
}

/*
 * Called before the last event of an operation. Since 7.x the task may be preempted between that event
 * and the end of the program: the context switch must neither add an event nor end it a second time.
 */
static __always_inline void um_closing(struct um_task *task)
{
	*(volatile u16 *)&task->phase = UM_OPENING;
}

/* Whether the next system call of the task ends its operation. */
static __always_inline int um_is_on_its_way_out(struct um_task *task)
{
	return task->phase == UM_LEAVING || task->phase == UM_NS_PUT;
}

/* The name of the task: 16 bytes, which the kernel fills up with NULs since 5.17, so before plain loads. */
static __always_inline void um_own_name(char *to)
{
#if defined(UM_WORD_TYPE) && defined(UM_OFF_TASK_COMM)
	u64 name = (u64)bpf_get_current_task() + UM_OFF_TASK_COMM;

	((u64 *)to)[0] = um_word(name);
	((u64 *)to)[1] = um_word(name + 8);
#else
	bpf_get_current_comm(to, 16);
#endif
}

/* An event of a task that is in no operation, or of none of its operations: it has no sequence number. */
static __always_inline struct um_event *um_foreign(u16 kind, u64 mnt, u64 ts)
{
	u64 id = bpf_get_current_pid_tgid();
	struct um_event *e = um_reserve(ts, id, id >> 32, kind, 0);

	if (!e)
		return 0;
	e->mnt = mnt;
	e->cpu |= UM_FOREIGN;
	um_own_name(e->comm);
	return e;
}

/* How many references a superblock has left that was reported with more. */
static __always_inline void um_report_left(struct um_reported *known, u64 ts)
{
	struct um_event *e = um_foreign(UM_SHARED, 0, ts);

	if (!e)
		return;
	e->a = known->active & ~UM_COUNTED_AGAIN;
	e->b = known->dev;
	__builtin_memset(e->comm, 0, sizeof(e->comm));
	um_submit(e);
}

/* The mounts that had no events of their own, and what they left alive. */
static __always_inline void um_report_silent(u32 tid, struct um_task *task)
{
	struct um_event *e;
	u32 i;

	for (i = 0; i < UM_REPORTED_SBS; i++) {
		struct um_reported *known;

		asm volatile("" : "+r"(i));
		if (i >= UM_REPORTED_SBS)
			break;
		known = &task->reported[i];
		if (known->active & UM_COUNTED_AGAIN)
			um_report_left(known, task->cleaned_ns);
	}
	if (!task->silent)
		return;
	if (task->silent != task->silent_ended) /* a return was not seen: a missing number marks the row */
		task->seq++;
	e = um_reserve_of(task, tid, UM_CLEANUPS, task->cleaned_ns);
	if (!e)
		return;
	e->a = task->silent;
	um_submit(e);
}

/* Before the end of an operation is sent. */
static __always_inline void um_before_returned(u32 tid, struct um_task *task)
{
#ifdef UM_FUNCTIONS
	if (task->silent && !task->cleaned_ns) { /* the last one was not seen: a missing number marks the row */
		task->seq++;
		task->cleaned_ns = bpf_ktime_get_ns();
	}
	if (task->silent || task->again)
		um_report_silent(tid, task);
#endif
}

/* The task is done with an operation. There are no notes: they were sent when its call was over. */
static __always_inline void um_returned(u32 tid, struct um_task *task, u64 how)
{
	um_before_returned(tid, task);
	um_emit_simple(tid, task, UM_RETURNED, how);
}

/* Of a task that is in two operations, ends the one that waits. */
static __always_inline void um_end_parked(u32 tid, struct um_task *task, u64 how)
{
	struct um_task *waiting = task->other ? parked.lookup(&tid) : 0;
	struct um_active *n = um_active();

	task->other = 0;
	if (!waiting || !n)
		return;
	um_returned(tid, waiting, how);
	um_not_leaving(n, waiting->leaves, waiting->unended);
	parked.delete(&tid);
}

static __always_inline void um_forget(u32 tid, struct um_task *task)
{
	struct um_active *n = um_active();
	struct um_task *mine = um_task_slot(tid);
	u32 slot = tid & (UM_TASK_SLOTS - 1), *users = slot_users.lookup(&slot);
	u8 leaves = task->leaves, unended = task->unended;

	if (task->other)
		um_end_parked(tid, task, UM_RETURNED_SYSCALL);
	if (!n || !mine || !users)
		return;
	um_closing(task);
	if (*(volatile u32 *)&mine->tid == tid) {
		mine->tid = 0;
		__sync_fetch_and_add(users, -1);
	} else if (displaced.delete(&tid)) {
		return;
	} else {
		__sync_fetch_and_add(&n->displaced, -1);
	}
	__sync_fetch_and_add(&n->followed, -1);
	um_not_leaving(n, leaves, unended);
}

/* An entry in the map for those whose place is taken. */
static __always_inline struct um_task *um_displace(u32 tid, struct um_active *n)
{
	u32 zero = 0;
	struct um_task *empty = no_task.lookup(&zero);
	struct um_task *task = !empty || displaced.update(&tid, empty) ? 0 : displaced.lookup(&tid);

	if (!task) {
		um_lost(UM_LOSS_TASK_MAP);
		return 0;
	}
	__sync_fetch_and_add(&n->displaced, 1);
	return task;
}

/* Returns an empty entry, to be filled before um_followed(); 0 if there is no room, which is counted. */
static __always_inline struct um_task *um_place(u32 tid)
{
	struct um_active *n = um_active();
	struct um_task *task = um_task_slot(tid);
	u32 slot = tid & (UM_TASK_SLOTS - 1), *users = slot_users.lookup(&slot);

	if (!n || !task || !users)
		return 0;
	if (task->tid == tid) /* an operation whose end was not seen: its place is taken over */
		um_forget(tid, task);
	/* Of two that come at once, none or one reads 1: an addition that returns the sum is not in 5.10. */
	__sync_fetch_and_add(users, 1);
	if (*(volatile u32 *)users == 1) {
		__builtin_memset(task, 0, sizeof(*task));
		task->takes_notes = 1;
	} else {
		__sync_fetch_and_add(users, -1);
		task = um_displace(tid, n);
		if (!task)
			return 0;
	}
	__sync_fetch_and_add(&n->followed, 1);
	return task;
}

/* The entry is filled: from here on the task has it. */
static __always_inline void um_followed(u32 tid, struct um_task *task)
{
	asm volatile("" ::: "memory"); /* a context switch before this finds no entry yet */
	task->tid = tid;
}

/* Returns the entry of the task, a copy of ``fresh``; 0 as above. */
static __always_inline struct um_task *um_follow(u32 tid, struct um_task *fresh)
{
	struct um_task *task = um_place(tid);

	if (!task)
		return 0;
	fresh->tid = 0;
	*task = *fresh;
	um_followed(tid, task);
	return task;
}

#define UM_PF_KTHREAD 0x00200000

static __always_inline int um_is_kthread(void)
{
#ifdef UM_OFF_TASK_FLAGS
	return um_half_word((u64)bpf_get_current_task() + UM_OFF_TASK_FLAGS) & UM_PF_KTHREAD;
#else
	return 0;
#endif
}

/* Read a word of the current task's struct mnt_namespace; 0 where it cannot be read. */
static __always_inline u32 um_read_mnt_ns(u32 offset)
{
#ifdef UM_OFF_TASK_NSPROXY
	u64 nsproxy = um_word((u64)bpf_get_current_task() + UM_OFF_TASK_NSPROXY);
	u64 mnt_ns = nsproxy ? um_word(nsproxy + UM_OFF_NSPROXY_MNT_NS) : 0;

	return mnt_ns ? um_half_word(mnt_ns + offset) : 0;
#else
	return 0;
#endif
}

static __always_inline u32 um_mntns(void)
{
	return um_read_mnt_ns(UM_OFF_MNT_NS_INUM);
}

static __always_inline int um_nr_mounts(void)
{
#ifdef UM_OFF_MNT_NS_MOUNTS
	return um_read_mnt_ns(UM_OFF_MNT_NS_MOUNTS);
#else
	return -1;
#endif
}

/* Sends the event that opens an operation, with the task. It has the first number of the sequence. */
static __always_inline void um_send_opener(u64 ts, u32 tid, u32 tgid, u16 kind, u32 seq, u64 mnt,
					   int ret, u32 mntns, u16 lane)
{
	struct um_event *e = um_reserve(ts, tid, tgid, kind, seq);

	if (!e)
		return;
	e->mnt = mnt;
	e->cpu |= lane;
	e->ret = ret;
	e->a = bpf_get_current_cgroup_id();
	e->b = mntns;
	um_own_name(e->comm);
	um_submit(e);
}

#endif
