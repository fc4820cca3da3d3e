/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The origin of a teardown: the callers of umount_tree on the kernel stack. */
#ifndef UMTRACE_ORIGIN_H
#define UMTRACE_ORIGIN_H

#include "emit.h"
#include "frames.h"

#define UM_IN_CLEANUP 0x100 /* beside the origin: cleanup_mnt is on the stack, too */
#define UM_NO_CALLER 0x200  /* instead of an origin: the stack could not be read, or compared */
#define UM_ORIGIN 0xff

/* The first of these that is on the stack decides, since others may be its callers. */
static __always_inline u32 um_by(u64 found, u64 put_ns, u64 collected, u64 mounting)
{
	/* The mount namespace in which a new mount is made, or a copy of a tree, which is in none. */
	if ((put_ns && mounting) || (collected && !put_ns))
		return UM_BY_MOUNT_INTERNAL;
	if (put_ns)
		return UM_BY_NS_EXIT;
	if (found & (1 << UM_BY_UMOUNT))
		return UM_BY_UMOUNT;
	if (found & (1 << UM_BY_DETACH))
		return UM_BY_DETACH;
	if (found & (1 << UM_BY_EXPIRE))
		return UM_BY_EXPIRE;
	if (found & (1 << UM_BY_FD_CLOSE))
		return UM_BY_FD_CLOSE;
	return found & (1 << UM_BY_FAILED_MOUNT) ? UM_BY_FAILED_MOUNT : UM_BY_OTHER;
}

/* The verifier follows a program once for each number that it knows, so it must not know this one. */
static __always_inline u64 um_hidden(u64 number, u64 unknown)
{
	asm volatile("%0 ^= %1" : "+r"(number) : "r"(unknown));
	asm volatile("%0 ^= %1" : "+r"(number) : "r"(unknown));
	return number;
}

#define UM_CALLERS 24 /* frames: there are 12 from umount_tree to the cleanup_mnt of a file of nsfs */

static __always_inline u32 um_caller(struct um_frames *f, int n)
{
	u64 found = 0, put_ns = 0, collected = 0, mounting = 0, cleaning = 0;
	int i;

	for (i = 0; i < UM_CALLERS; i++) {
		u64 ip;

		asm volatile("" : "+r"(i));
		if (i >= n)
			break;
		ip = f->ip[i];
		/* One bit per origin: callers of umount_tree are always real calls. */
		found |= UM_IN(ip, UM_FN_PATH_UMOUNT) << UM_BY_UMOUNT;
		put_ns |= UM_IN(ip, UM_FN_PUT_NS);
		collected |= UM_IN(ip, UM_FN_DROP_COLLECTED);
		mounting |= UM_IN(ip, UM_FN_MOUNT_SUBTREE) | UM_IN(ip, UM_FN_GET_TREE);
		cleaning |= UM_IN(ip, UM_FN_CLEANUP);
		found |= UM_IN(ip, UM_FN_DETACH_MOUNTS) << UM_BY_DETACH;
		found |= UM_IN(ip, UM_FN_EXPIRY) << UM_BY_EXPIRE;
		found |= UM_IN(ip, UM_FN_DISSOLVE) << UM_BY_FD_CLOSE;
		found |= (UM_IN(ip, UM_FN_PATH_MOUNT) | UM_IN(ip, UM_FN_COPY_TREE) |
			  UM_IN(ip, UM_FN_ATTACH_RECURSIVE)) << UM_BY_FAILED_MOUNT;
	}
	return um_hidden(um_by(found, put_ns, collected, mounting) | (cleaning ? UM_IN_CLEANUP : 0), f->ip[0]);
}

static __always_inline u32 um_origin(void *ctx)
{
	/* A fentry program can be preempted, and sched_switch must not overwrite its frames. */
	u32 slot = UM_FRAMES_CALL;
	struct um_frames *f;
	int n;

	if (!UM_IS_KNOWN(UM_FN_PATH_UMOUNT)) /* kernel addresses are hidden */
		return UM_NO_CALLER;
	f = frames.lookup(&slot);
	n = f ? um_stack(ctx, f) : -1;
	if (n >= 0)
		return um_caller(f, n);
	um_lost(UM_LOSS_STACK);
	return UM_NO_CALLER;
}

#endif
