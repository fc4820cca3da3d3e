/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * All programs, which are compiled into one object. bcc rewrites map accesses in its main text only,
 * so the loader replaces every #include "..." with the text (umtrace/sources/bpf/text.py). A file is
 * there once, where it is included first, so what several files need comes before any condition.
 */
#include "config.h"
#include "armed.h"
#include "frames.h"
#include "mount.h"
#include "origin.h"
#include "placement.h"
#include "tasks.h"
#ifdef UM_LIGHT
#include "light.h"
#endif
#include "syscalls.c"
#include "births.c"
#include "command.c"
#ifdef UM_FUNCTIONS
#include "umount.c"
#include "ebusy.c"
#include "opened.c"
#include "holders.c"
#ifdef UM_LIGHT
#include "light.c"
#else
#include "tree.c"
#include "unlock.c"
#include "cleanup.c"
#endif
#endif
#ifndef UM_LIGHT
#include "switch.c"
#endif
