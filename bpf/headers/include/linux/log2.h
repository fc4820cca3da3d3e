/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Stand-in: bcc rounds the size of stack tables; umtrace only asks for powers of two. */
#define roundup_pow_of_two(n) (n)
