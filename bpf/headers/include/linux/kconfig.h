/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Stand-in: bcc looks for this file to recognise a kernel source tree. */
#ifndef CONFIG_BPF_SYSCALL
#define CONFIG_BPF_SYSCALL 1
#endif
