/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The addresses of a boot. With UM_NUMBERED the compiler knows a number for each, and computes with it
 * in one instruction, where the loader writes the address (umtrace/sources/bpf/addresses.py).
 */
#ifndef UMTRACE_ADDRESSES_H
#define UMTRACE_ADDRESSES_H

#include "config.h"

#ifdef UM_NUMBERED
#define UM_MARK 0x5c3a1700

static __always_inline u64 um_address(const u64 number)
{
	u64 address = 0;

	asm volatile("%0 += %1" : "+r"(address) : "i"(UM_MARK + number));
	return address;
}

static __always_inline u64 um_distance(u64 ip, const u64 start)
{
	asm volatile("%0 -= %1" : "+r"(ip) : "i"(UM_MARK + start));
	return ip;
}
#else
#define um_distance(ip, start) ((ip) - (start))
#endif

#endif
