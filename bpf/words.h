/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Reads a word of the kernel. From 6.2 on this is a plain load of some 10 instructions, since
 * bpf_rdonly_cast() makes a pointer of a number: a35b9af4ec2c ("bpf: Add a kfunc for generic type
 * cast"). Elsewhere it is a call of some 80. Where the memory cannot be read, the word is 0.
 */
#ifndef UMTRACE_WORDS_H
#define UMTRACE_WORDS_H

#include "addresses.h"
#include "config.h"

#ifdef UM_WORD_TYPE
/* bcc knows no kfunc: the loader replaces the call of a helper of this number (bpf_object.py). */
#define UM_CAST_CALL 7777
static void *(*um_cast)(u64 at, u32 type) = (void *)UM_CAST_CALL;

#define UM_LOAD(type, at) \
	({ \
		type um_loaded; \
		void *um_from = um_cast(at, UM_WORD_TYPE); \
		asm volatile("%0 = *(" #type " *)(%1 + 0)" : "=r"(um_loaded) : "r"(um_from)); \
		um_loaded; \
	})
#else
#define UM_LOAD(type, at) \
	({ \
		type um_loaded = 0; \
		bpf_probe_read_kernel(&um_loaded, sizeof(um_loaded), (const void *)(at)); \
		um_loaded; \
	})
#endif

static __always_inline u64 um_word(u64 at)
{
	return UM_LOAD(u64, at);
}

static __always_inline u32 um_half_word(u64 at)
{
	return UM_LOAD(u32, at);
}

/* Reads a field of 4 or 8 bytes into a variable of its size. */
#define UM_READ(to, from) \
	((to) = sizeof(to) == 8 ? (typeof(to))um_word((u64)(from)) : \
				  (typeof(to))um_half_word((u64)(from)))

#endif
