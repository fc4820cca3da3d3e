/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The system call that a task is in, from the registers that its entry saved at the top of the
 * kernel stack. It shows which kind of reference a task puts: stat(2) puts only the one that it
 * took itself, while the reference of an open file is put in close(2) or on the way back to user
 * mode.
 */
#ifndef UMTRACE_CALLER_H
#define UMTRACE_CALLER_H

#include "config.h"

#if defined(__x86_64__) && defined(UM_OFF_TASK_STACK) && defined(UM_OFF_TASK_STATUS)
#define UM_STACK_BYTES 16384
#define UM_USER_CS 0x33
#define UM_USER_DS 0x2b
#define UM_COMPAT 2	 /* TS_COMPAT: the number is from the 32-bit table */
#define UM_UNSET (-38) /* the kernel presets the return value to -ENOSYS */

struct um_entered { /* the end of struct pt_regs */
	long ax, cx, dx, si, di, orig_ax, ip;
	unsigned short cs, rest_of_cs[3];
	long flags, sp;
	unsigned short ss, rest_of_ss[3];
};

/*
 * The number of the system call plus 1; 0 unknown. When it has a result already, minus its number
 * minus 2: the task is on its way back. -1 in none.
 */
static __always_inline int um_syscall_of(u64 top)
{
	struct um_entered in = {};
	int has_result;

	if (bpf_probe_read_kernel(&in, sizeof(in), (void *)(top - sizeof(in))))
		return 0;
	if (in.cs != UM_USER_CS || in.ss != UM_USER_DS)
		return 0;
	if (in.orig_ax < 0 || in.orig_ax > 0xffff)
		return -1;
	has_result = (int)in.ax ^ UM_UNSET;
	has_result |= -has_result;
	asm volatile("" : "+r"(has_result)); /* no branch: the verifier would follow what comes twice */
	return ((int)in.orig_ax + 1) ^ has_result >> 31;
}

/* The same of a task, by the address of its task_struct. */
static __always_inline int um_syscall_in(u64 task)
{
	u64 stack = 0;
	u32 status = UM_COMPAT;
	int found;

	bpf_probe_read_kernel(&status, sizeof(status), (void *)(task + UM_OFF_TASK_STATUS));
	if (status & UM_COMPAT)
		return 0;
	bpf_probe_read_kernel(&stack, sizeof(stack), (void *)(task + UM_OFF_TASK_STACK));
	if (!stack)
		return 0;
	found = um_syscall_of(stack + UM_STACK_BYTES);
	/* Two words are left free since 6.9, with FRED: 65c9cc9e2c14 ("x86/fred: Reserve space for the FRED stack frame") */
	return found ? found : um_syscall_of(stack + UM_STACK_BYTES - 16);
}

static __always_inline int um_syscall(void)
{
	return um_syscall_in(bpf_get_current_task());
}

#ifdef UM_PATH_CALLS
/* Whether that system call (its number plus 1) puts no other reference than that of its path walk. */
static __always_inline int um_is_path_syscall(int nr_plus_1)
{
	u32 nr = nr_plus_1 - 1;
	u64 bits = 0;

#define UM_WORD(n, word) bits = nr >> 6 == n ? word : bits;
	if (nr_plus_1 > 0) {
		UM_PATH_CALLS
	}
#undef UM_WORD
	return bits >> (nr & 63) & 1;
}
#else
#define um_is_path_syscall(nr_plus_1) 0
#endif
#else
#define um_syscall() 0
#define um_syscall_in(task) 0
#define um_is_path_syscall(nr_plus_1) 0
#endif

#endif
