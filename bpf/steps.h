/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Long loops. The verifier follows each turn of a loop in a program, but one turn of bpf_loop():
 * e6f2dd0f8067 ("bpf: Add bpf_loop helper"), 5.17. A step returns 1 at the end, else 0, and has its
 * state in a map.
 */
#ifndef UMTRACE_STEPS_H
#define UMTRACE_STEPS_H

#include "config.h"

#ifdef __clang__
#define UM_UNROLL _Pragma("unroll")
#else
#define UM_UNROLL
#endif

#ifdef UM_BPF_LOOP
#define UM_STEP(name) int um_step_##name(u64 *ctx)
#define UM_MOST_STEPS (1 << 20)

static long (*um_bpf_loop)(u32 turns, void *step, void *context, u64 flags) = (void *)181;

/* bcc knows no callback: the loader puts the step behind the program (bpf_functions.py). */
#define UM_CALLBACK 4 /* BPF_PSEUDO_FUNC */
#define UM_STEP_VICTIM 7701
#define UM_STEP_TREE 7702
#define UM_STEP_LARGEST 7703
#define UM_STEP_HELD 7704
#define UM_STEP_TABLE 7705
#define um_each(turns, step) um_bpf_loop(turns, (void *)bpf_pseudo_fd(UM_CALLBACK, step), 0, 0)
#endif

#endif
