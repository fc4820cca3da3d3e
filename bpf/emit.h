/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What every probe program shares: the rings, the loss counters, and how an event is filled and
 * submitted. A record is submitted without waking the reader, which polls: a wake-up per event
 * would keep a CPU out of idle, and would make the measured expedited grace period slower. Only an
 * EBUSY, which waits for no grace period, wakes the reader through a ring of its own, since the
 * holder of the mount may be gone soon.
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

static __always_inline void um_lost(u32 why)
{
	u64 *count = losses.lookup(&why);

	if (count)
		(*count)++;
}

/* Reserves an event and fills everything that does not depend on the kind. */
static __always_inline struct um_event *um_reserve(u64 ts_ns, u32 tid, u32 tgid, u16 kind, u32 seq)
{
	struct um_event *e = events.ringbuf_reserve(sizeof(struct um_event));

	if (!e) {
		um_lost(UM_LOSS_EVENT_RING);
		return 0;
	}
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

/* Wakes the reader after an EBUSY. If the ring is full, the reader has been woken already. */
static __always_inline void um_wake_reader(int ret)
{
	u64 *rung;

	if (ret != -UM_EBUSY)
		return;
	rung = bell.ringbuf_reserve(sizeof(u64));
	if (!rung)
		return;
	*rung = 0;
	bell.ringbuf_submit(rung, UM_WAKEUP);
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
		__builtin_memset(n, 0, sizeof(*n));
		n->ts_ns = ts_ns;
		n->tid = tid;
		n->kind = UM_NAME_PATH;
		n->part = part;
		/* Returns the length with the final NUL; the next part starts over that NUL. */
		read = bpf_probe_read_user_str(n->text, UM_NAME_TEXT,
					       text + part * (UM_NAME_TEXT - 1));
		n->len = read > 0 ? read - 1 : 0;
		n->more = read == UM_NAME_TEXT && part < 17;
		names.ringbuf_submit(n, UM_NO_WAKEUP);
	}
}

#endif
