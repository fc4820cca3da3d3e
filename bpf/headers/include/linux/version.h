/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Stand-in: bcc's headers choose helpers by these numbers at compile time. The
 * oldest kernel umtrace supports is named, whatever runs: what a kernel can do is
 * found by trying, and the loader passes the running version on its own.
 */
#ifndef UMTRACE_LINUX_VERSION_H
#define UMTRACE_LINUX_VERSION_H

#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 10, 0)

#endif
