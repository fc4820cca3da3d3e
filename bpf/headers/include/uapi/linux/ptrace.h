/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Stand-in: the registers bcc's argument and return value macros read. */
#ifndef UMTRACE_UAPI_LINUX_PTRACE_H
#define UMTRACE_UAPI_LINUX_PTRACE_H

#if defined(__x86_64__) || defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__aarch64__) || defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	unsigned long long regs[31], sp, pc, pstate;
};
struct pt_regs {
	unsigned long long regs[31], sp, pc, pstate;
};
#endif

#endif
