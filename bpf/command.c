/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The descendants of the recorded command, by process id. Attached only while there is a command.
 * An entry outlives its process, so that user space can ask a moment later; it goes when the number
 * is given to a process of somebody else.
 */
#include "emit.h"

#ifdef UM_OFF_TASK_PID
#define UM_MAX_COMMAND 65536

BPF_HASH(of_command, u32, u32, UM_MAX_COMMAND);
BPF_ARRAY(command_full, u32, 1);

/* Raw tracepoint sched_process_fork: the parent, the child. */
int um_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u32 parent = bpf_get_current_pid_tgid() >> 32, child = 0, one = 1, zero = 0;

	bpf_probe_read_kernel(&child, sizeof(child), (char *)ctx->args[1] + UM_OFF_TASK_PID);
	if (!of_command.lookup(&parent)) {
		of_command.delete(&child);
		return 0;
	}
	if (of_command.update(&child, &one))
		command_full.update(&zero, &one);
	return 0;
}
#endif
