/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Behind the programs: how the test runs them. */

void host_reset(void)
{
	int i;

	for (i = 0; i < host_memories; i++)
		memset(host_memory[i].at, 0, host_memory[i].bytes);
	events_data.used = names_data.used = 0;
	all_there_data[0] = 1;
}

void host_enter(int (*program)(struct pt_regs *), u64 first, u64 second)
{
	struct pt_regs regs = {};

	PT_REGS_PARM1(&regs) = first;
	PT_REGS_PARM2(&regs) = second;
	program(&regs);
}

void host_leave(int (*program)(struct pt_regs *), u64 result)
{
	struct pt_regs regs = {};

	PT_REGS_RC(&regs) = result;
	program(&regs);
}
