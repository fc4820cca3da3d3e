/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The number of the grace period that a task waits for: what the sequence of rcu_state will be at
 * its end. The last two bits of a sequence are its state, not 0 while a grace period is in progress.
 */
#ifndef UMTRACE_GRACE_PERIOD_H
#define UMTRACE_GRACE_PERIOD_H

#include "tasks.h"
#include "words.h"

#if defined(UM_ADDR_RCU_STATE) && defined(UM_OFF_RCU_EXPEDITED) && defined(UM_OFF_RCU_NORMAL)
#define UM_GP_EXPEDITED_SEQ (UM_ADDR_RCU_STATE + UM_OFF_RCU_EXPEDITED)
#define UM_GP_NORMAL_SEQ (UM_ADDR_RCU_STATE + UM_OFF_RCU_NORMAL)
#define UM_GP_STATE 3
#define UM_GP_ONE 4 /* from one grace period to the next */

/* The number of the first one that begins after now, as rcu_seq_snap() computes it. */
static __always_inline void um_gp_begins(struct um_task *task, u64 sequence)
{
	task->gp = (um_word(sequence) + 2 * UM_GP_STATE + 1) & ~(u64)UM_GP_STATE;
	task->gp_exact = 0;
}

/* The kernel's own number; 0 where the probe does not see it. */
static __always_inline void um_gp_is(struct um_task *task, u64 number)
{
	if (!number)
		return;
	task->gp = number;
	task->gp_exact = 1;
}

/*
 * When the wait is over; 0 unknown. The kernel computed its number a moment after ours, so it may be
 * the next one, unless that one is not over yet. The callback that ends a normal wait may belong to
 * the next one, too: that is the last one that is over.
 */
static __always_inline u64 um_gp_waited_for(struct um_task *task)
{
	s64 later;

	if (task->gp_exact)
		return task->gp;
	if (task->grace_period == UM_GP_NORMAL) {
		later = (um_word(UM_GP_NORMAL_SEQ) & ~(u64)UM_GP_STATE) - task->gp;
		return later == 0 || later == UM_GP_ONE ? task->gp + later : 0;
	}
	later = um_word(UM_GP_EXPEDITED_SEQ) - task->gp;
	return later >= 0 && later < UM_GP_ONE ? task->gp : 0;
}
#else
#define um_gp_begins(task, sequence)
#define um_gp_is(task, number)
#define um_gp_waited_for(task) 0
#endif

#endif
