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
#define UM_RECORD (8 + sizeof(struct um_event)) /* with the header that the kernel adds */

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
 * Whether this record is the first one in an eighth of the ring. The records lie one after the
 * other, so the address says it. The verifier allows no bit operations on a pointer, but it does
 * on a number that was read from memory. This takes 4 instructions, bpf_ringbuf_query() some 20.
 */
static __always_inline bool um_begins_eighth(struct um_event *e)
{
	*(volatile u64 *)e = (u64)e;
	return (*(volatile u64 *)e & (UM_EIGHTH - 1)) < UM_RECORD;
}

/* Reserves an event and fills everything that does not depend on the kind. */
static __always_inline struct um_event *um_reserve(u64 ts_ns, u32 tid, u32 tgid, u16 kind, u32 seq)
{
	struct um_event *e = events.ringbuf_reserve(sizeof(struct um_event));

	if (!e) {
		um_lost(UM_LOSS_EVENT_RING);
		return 0;
	}
	if (um_begins_eighth(e))
		um_ring(UM_BELL_FILL);
	__builtin_memset(e, 0, sizeof(*e));
	e->ts_ns = ts_ns;
	e->tid = tid;
	e->tgid = tgid;
	e->kind = kind;
	e->seq = seq;
	e->cpu = bpf_get_smp_processor_id();
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
