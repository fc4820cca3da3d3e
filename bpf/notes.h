/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Events of an operation that are sent together. To reserve a record of the ring costs more than all
 * else of an event. So what happens while the task cannot wait is noted, and sent before it may wait
 * or when the operation is over. The reader finds the same events in the same order.
 */
#ifndef UMTRACE_NOTES_H
#define UMTRACE_NOTES_H

#include "emit.h"
#include "task.h"

#ifdef UM_NOTES
#define UM_MOST_NOTES 8
#ifdef __clang__
#define UM_UNROLL _Pragma("unroll")
#else
#define UM_UNROLL
#endif

struct um_note { /* what struct um_event has, but for the ids of the task and a name */
	u64 ts_ns;
	u64 mnt;
	u16 kind;
	u16 cpu;
	int ret;
	u64 a;
	u32 b;
	u32 seq;
};

/* Each is copied as two runs of bytes. */
#define UM_AT(struct_, field) __builtin_offsetof(struct struct_, field)
_Static_assert(UM_AT(um_event, mnt) - UM_AT(um_event, ts_ns) == 8, "ts_ns, mnt");
_Static_assert(UM_AT(um_event, comm) - UM_AT(um_event, kind) == 24, "kind to seq");
_Static_assert(UM_AT(um_event, ret) - UM_AT(um_event, kind) == UM_AT(um_note, ret) - UM_AT(um_note, kind), "ret");
_Static_assert(UM_AT(um_event, a) - UM_AT(um_event, kind) == UM_AT(um_note, a) - UM_AT(um_note, kind), "a");
_Static_assert(UM_AT(um_event, seq) - UM_AT(um_event, kind) == UM_AT(um_note, seq) - UM_AT(um_note, kind), "seq");

struct um_notes {
	struct um_note note[UM_MOST_NOTES];
};

/* Beside the task's entry, which has their number: no copy of that can have them on the stack. */
BPF_ARRAY(notes, struct um_notes, UM_TASK_SLOTS);

static __always_inline struct um_notes *um_notes_of(u32 tid)
{
	u32 slot = tid & (UM_TASK_SLOTS - 1);

	return notes.lookup(&slot);
}

static __always_inline void um_fill_from(struct um_event *e, const struct um_note *note, u32 tid, u32 tgid)
{
	__builtin_memcpy(&e->ts_ns, &note->ts_ns, 16); /* and mnt */
	e->tid = tid;
	e->tgid = tgid;
	__builtin_memcpy(&e->kind, &note->kind, 24); /* and all up to seq */
	__builtin_memset(e->comm, 0, sizeof(e->comm));
}

/* Sends ``n`` notes, a constant, in one record. */
static __always_inline void um_send_run(u32 tid, struct um_task *task, const int n)
{
	struct um_notes *mine = um_notes_of(tid);
	struct um_run *run;
	int i;

	if (!mine)
		return;
	task->noted = 0;
	run = events.ringbuf_reserve(UM_RUN_BYTES(n));
	if (!run) {
		UM_UNROLL
		for (i = 0; i < n; i++)
			um_lost(UM_LOSS_EVENT_RING);
		return;
	}
	um_watch_fill(run, UM_RUN_BYTES(n));
	UM_UNROLL
	for (i = 0; i < n; i++) {
		um_fill_from(&run[i].event, &mine->note[i], tid, task->tgid);
		if (i + 1 < n)
			run[i].header = sizeof(struct um_event);
	}
	events.ringbuf_submit(run, UM_NO_WAKEUP);
}

/* Sends all notes, one by one. */
static __always_inline void um_send_each(u32 tid, struct um_task *task)
{
	struct um_notes *mine = um_notes_of(tid);
	u64 n = task->noted, i;

	task->noted = 0;
	for (i = 0; i < UM_MOST_NOTES; i++) {
		struct um_event *e;

		asm volatile("" : "+r"(i));
		if (!mine || i >= n || i >= UM_MOST_NOTES)
			break;
		e = events.ringbuf_reserve(sizeof(struct um_event));
		if (!e) {
			um_lost(UM_LOSS_EVENT_RING);
			continue;
		}
		um_watch_fill(e, sizeof(*e));
		um_fill_from(e, &mine->note[i], tid, task->tgid);
		events.ringbuf_submit(e, UM_NO_WAKEUP);
	}
}

/* Sends all notes; ``n``, a constant, is how many there are where nothing is missing. */
#define um_send_notes(tid, task, n) \
	do { \
		if ((task)->noted == (n)) \
			um_send_run(tid, task, n); \
		else if ((task)->noted) \
			um_send_each(tid, task); \
	} while (0)

/* Before an event that is not noted. */
static __always_inline void um_notes_first(u32 tid, struct um_task *task)
{
	if (task->noted)
		um_send_each(tid, task);
}

/* Returns where to note an event; 0 if there is no room, which happens if the kernel skips many hits. */
static __always_inline struct um_note *um_place_for_note(u32 tid, struct um_task *task)
{
	struct um_notes *mine = um_notes_of(tid);
	u64 n = task->noted;

	asm volatile("" : "+r"(n));
	if (!mine || n >= UM_MOST_NOTES) {
		um_lost(UM_LOSS_EVENT_RING);
		return 0;
	}
	task->noted = n + 1;
	return &mine->note[n];
}
#else
#define um_send_notes(tid, task, n)
#define um_notes_first(tid, task)
#endif

/* Where an operation is, for a reader of its entry; with or without an event. */
static __always_inline void um_stands(struct um_task *task, u16 kind, u64 ts)
{
	task->last_kind = kind;
	task->since_ns = ts;
}

static __always_inline void um_begun(struct um_task *fresh, u16 kind, u64 ts)
{
	fresh->begun_ns = ts;
	um_stands(fresh, kind, ts);
}

/* Every event of an operation takes its number here, and is where the operation is from then on. */
static __always_inline u32 um_next(struct um_task *task, u16 kind, u64 ts)
{
	um_stands(task, kind, ts);
	return task->seq++;
}

/* An event of an operation, with its next number. Where there may be notes, they are sent before. */
static __always_inline struct um_event *um_reserve_of(struct um_task *task, u32 tid, u16 kind, u64 ts)
{
	struct um_event *e = um_reserve(ts, tid, task->tgid, kind, um_next(task, kind, ts));

	if (e)
		e->cpu |= task->lane;
	return e;
}

static __always_inline void um_emit_at(u32 tid, struct um_task *task, u16 kind, u64 ts, u64 mnt, int ret,
				       u64 a, u32 b)
{
	struct um_event *e = um_reserve_of(task, tid, kind, ts);

	if (!e)
		return;
	e->mnt = mnt;
	e->ret = ret;
	e->a = a;
	e->b = b;
	um_submit(e);
}

/* An event that may be sent later, with others, before the task may wait. */
static __always_inline void um_note_at(u32 tid, struct um_task *task, u16 kind, u64 ts, u64 mnt, int ret,
				       u64 a, u32 b)
{
#ifdef UM_NOTES
	if (task->takes_notes) {
		u32 seq = um_next(task, kind, ts);
		struct um_note *note = um_place_for_note(tid, task);

		if (!note)
			return;
		note->ts_ns = ts;
		note->mnt = mnt;
		note->kind = kind;
		note->cpu = bpf_get_smp_processor_id() | task->lane;
		note->ret = ret;
		note->a = a;
		note->b = b;
		note->seq = seq;
		return;
	}
#endif
	um_emit_at(tid, task, kind, ts, mnt, ret, a, b);
}

static __always_inline void um_note(u32 tid, struct um_task *task, u16 kind, u64 mnt, int ret, u64 a,
				    u32 b)
{
	um_note_at(tid, task, kind, bpf_ktime_get_ns(), mnt, ret, a, b);
}

static __always_inline void um_emit_simple(u32 tid, struct um_task *task, u16 kind, u64 a)
{
	struct um_event *e = um_reserve_of(task, tid, kind, bpf_ktime_get_ns());

	if (!e)
		return;
	e->a = a;
	um_submit(e);
}

#endif
