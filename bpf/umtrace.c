/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * All programs, which are compiled into one object. bcc rewrites map accesses in its main text only,
 * so the loader replaces every #include "..." with the text (umtrace/sources/bpf/text.py).
 */
#include "config.h"
#include "syscalls.c"
#include "switch.c"
#ifdef UM_FUNCTIONS
#include "umount.c"
#include "tree.c"
#include "unlock.c"
#include "cleanup.c"
#include "ebusy.c"
#endif
