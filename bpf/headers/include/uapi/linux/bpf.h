/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Stand-in: bcc includes this file and umtrace needs nothing of it. */
