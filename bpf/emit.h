/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What every probe program shares: the rings, the loss counters, and how an event is filled and
 * submitted. A record is submitted without waking the reader, which polls: a wake-up per event
 * would keep a CPU out of idle, and would make the measured expedited grace period slower. Two
 * things wake the reader through a ring of its own: an EBUSY, which waits for no grace period,
 * since the holder of the mount may be gone soon; and each eighth of the event ring that is filled,
 * so that the reader may poll seldom.
 */
#ifndef UMTRACE_EMIT_H
#define UMTRACE_EMIT_H

#include "config.h"
#include "event.h"

BPF_RINGBUF_OUTPUT(events, UM_EVENT_PAGES);
BPF_RINGBUF_OUTPUT(names, UM_NAME_PAGES);
BPF_RINGBUF_OUTPUT(bell, 1);
BPF_PERCPU_ARRAY(losses, u64, UM_LOSS_MAX);

#define UM_NO_WAKEUP 1 /* BPF_RB_NO_WAKEUP */
#define UM_WAKEUP 2 /* BPF_RB_FORCE_WAKEUP */
#define UM_EBUSY 16
#define UM_EIGHTH (UM_EVENT_PAGES * PAGE_SIZE / 8) /* of the event ring, bytes */

static __always_inline void um_lost(u32 why)
{
	u64 *count = losses.lookup(&why);

	if (count)
		(*count)++;
}

/* Wakes the reader. If the ring is full, the reader has been woken already. */
static __always_inline void um_ring(u64 why)
{
	u64 *rung = bell.ringbuf_reserve(sizeof(u64));

	if (!rung)
		return;
	*rung = why;
	bell.ringbuf_submit(rung, UM_WAKEUP);
}

/*
 * Events that are reserved at once. The reader finds them as if each had been reserved by itself:
 * between two of them is the header that the kernel would have written.
 */
struct um_run {
	struct um_event event;
	u64 header; /* of the next one */
};
#define UM_RUN_BYTES(n) ((n) * sizeof(struct um_run) - 8)
_Static_assert(sizeof(struct um_run) == 8 + sizeof(struct um_event), "a record with its header");

/*
 * Whether this record reaches the end of an eighth of the ring. The records lie one after the
 * other, so the address says it. The verifier allows no bit operations on a pointer, but it does
 * on a number that was read from memory. This takes 4 instructions, bpf_ringbuf_query() some 20.
 */
static __always_inline void um_watch_fill(void *record, u64 bytes)
{
	*(volatile u64 *)record = (u64)record;
	if ((*(volatile u64 *)record & (UM_EIGHTH - 1)) + bytes + 8 >= UM_EIGHTH) /* 8: its header */
		um_ring(UM_BELL_FILL);
}

static __always_inline void um_begin_event(struct um_event *e, u64 ts_ns, u32 tid, u32 tgid, u16 kind,
					   u32 seq)
{
	__builtin_memset(e, 0, sizeof(*e));
	e->ts_ns = ts_ns;
	e->tid = tid;
	e->tgid = tgid;
	e->kind = kind;
	e->seq = seq;
	e->cpu = bpf_get_smp_processor_id();
}

/* Reserves an event and fills everything that does not depend on the kind. */
static __always_inline struct um_event *um_reserve(u64 ts_ns, u32 tid, u32 tgid, u16 kind, u32 seq)
{
	struct um_event *e = events.ringbuf_reserve(sizeof(struct um_event));

	if (!e) {
		um_lost(UM_LOSS_EVENT_RING);
		return 0;
	}
	um_watch_fill(e, sizeof(*e));
	um_begin_event(e, ts_ns, tid, tgid, kind, seq);
	return e;
}

static __always_inline void um_submit(struct um_event *e)
{
	events.ringbuf_submit(e, UM_NO_WAKEUP);
}

static __always_inline void um_wake_reader(int ret)
{
	if (ret == -UM_EBUSY)
		um_ring(UM_BELL_EBUSY);
}

/* All of a name but its text, which nobody reads beyond ``len``. */
static __always_inline void um_name_is(struct um_name *n, u64 ts_ns, u32 tid, u16 kind, u16 part)
{
	n->ts_ns = ts_ns;
	n->tid = tid;
	n->kind = kind;
	n->part = part;
	n->len = 0;
	n->more = 0;
}

/* Sends user text in parts; a path of PATH_MAX takes 18 of them. */
static __always_inline void um_send_path(u64 ts_ns, u32 tid, const char *text)
{
	long read = UM_NAME_TEXT;
	u16 part;

	for (part = 0; part < 18 && read == UM_NAME_TEXT; part++) {
		struct um_name *n = names.ringbuf_reserve(sizeof(struct um_name));

		if (!n) {
			um_lost(UM_LOSS_NAME_RING);
			return;
		}
		um_name_is(n, ts_ns, tid, UM_NAME_PATH, part);
		/* Returns the length with the final NUL; the next part starts over that NUL. */
		read = bpf_probe_read_user_str(n->text, UM_NAME_TEXT,
					       text + part * (UM_NAME_TEXT - 1));
		n->len = read > 0 ? read - 1 : 0;
		n->more = read == UM_NAME_TEXT && part < 17;
		names.ringbuf_submit(n, UM_NO_WAKEUP);
	}
}

#endif
