/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads the fields of a struct mount. Offsets come from BTF as UM_OFF_*. */
#ifndef UMTRACE_MOUNT_FIELDS_H
#define UMTRACE_MOUNT_FIELDS_H

#include "config.h"
#include "words.h"

/* An argument of an fentry program is a typed pointer, and the verifier refuses to shift one. */
static __always_inline u64 um_to_scalar(u64 pointer)
{
	u64 word = 0;

	bpf_probe_read_kernel(&word, sizeof(word), &pointer);
	return word;
}

/* Identities need BTF; without it only times are sent. */
#ifdef UM_OFF_MOUNT_MNT
/* The fields of a mount that are read together. */
struct um_view {
	u64 parent, mountpoint; /* with UM_OFF_MOUNT_PARENT */
	u64 root, sb;
	u32 flags;
};

#define UM_OFF_ROOT (UM_OFF_MOUNT_MNT + UM_OFF_VFSMOUNT_ROOT)
#define UM_OFF_SB (UM_OFF_MOUNT_MNT + UM_OFF_VFSMOUNT_SB)
#define UM_OFF_FLAGS (UM_OFF_MOUNT_MNT + UM_OFF_VFSMOUNT_FLAGS)

/*
 * A read that is a call costs some hundred instructions, however many words it has. So fields that
 * are near each other, as they are from 5.10 to 7.3, are read at once. Where the layout of structs
 * is randomised, a field may lie across two words, and each is read by itself.
 */
#ifdef UM_WORD_TYPE
#define UM_NEAR(off, start, bytes) 0
#else
#define UM_NEAR(off, start, bytes) \
	((off) >= (start) && (off) + 8 <= (start) + (bytes) && ((off) - (start)) % 8 == 0)
#endif
#define UM_READ_WORDS(to, from) bpf_probe_read_kernel(&(to), sizeof(to), (const void *)(from))
#define UM_VIEW_BYTES 48
#ifdef UM_OFF_MOUNT_PARENT
#if UM_NEAR(UM_OFF_MOUNT_MOUNTPOINT, UM_OFF_MOUNT_PARENT, UM_VIEW_BYTES) && \
	UM_NEAR(UM_OFF_ROOT, UM_OFF_MOUNT_PARENT, UM_VIEW_BYTES) && \
	UM_NEAR(UM_OFF_SB, UM_OFF_MOUNT_PARENT, UM_VIEW_BYTES) && \
	UM_NEAR(UM_OFF_FLAGS, UM_OFF_MOUNT_PARENT, UM_VIEW_BYTES)
#define UM_VIEW_AT_ONCE
#endif
#endif

static __always_inline void um_read_mount(struct um_view *view, u64 mnt)
{
#ifdef UM_VIEW_AT_ONCE
	u64 words[UM_VIEW_BYTES / 8] = {};

	UM_READ_WORDS(words, mnt + UM_OFF_MOUNT_PARENT);
	view->parent = words[0];
	view->mountpoint = words[(UM_OFF_MOUNT_MOUNTPOINT - UM_OFF_MOUNT_PARENT) / 8];
	view->root = words[(UM_OFF_ROOT - UM_OFF_MOUNT_PARENT) / 8];
	view->sb = words[(UM_OFF_SB - UM_OFF_MOUNT_PARENT) / 8];
	view->flags = *(u32 *)&words[(UM_OFF_FLAGS - UM_OFF_MOUNT_PARENT) / 8];
#else
	__builtin_memset(view, 0, sizeof(*view));
	UM_READ(view->sb, mnt + UM_OFF_SB);
	UM_READ(view->flags, mnt + UM_OFF_FLAGS);
#ifdef UM_OFF_MOUNT_PARENT
	UM_READ(view->parent, mnt + UM_OFF_MOUNT_PARENT);
	UM_READ(view->mountpoint, mnt + UM_OFF_MOUNT_MOUNTPOINT);
	UM_READ(view->root, mnt + UM_OFF_ROOT);
#endif
#endif
}

static __always_inline void um_read_sb(u64 sb, u32 *dev, u64 *type)
{
#if UM_NEAR(UM_OFF_SB_TYPE, UM_OFF_SB_DEV, UM_VIEW_BYTES)
	u64 words[UM_VIEW_BYTES / 8] = {};

	UM_READ_WORDS(words, sb + UM_OFF_SB_DEV);
	*dev = *(u32 *)words;
	*type = words[(UM_OFF_SB_TYPE - UM_OFF_SB_DEV) / 8];
#else
	UM_READ(*dev, sb + UM_OFF_SB_DEV);
	UM_READ(*type, sb + UM_OFF_SB_TYPE);
#endif
}

/* The flags of a vfsmount that is an argument: by a plain load, which a typed pointer allows. */
#ifdef UM_FENTRY
static __always_inline u32 um_load_flags(u64 vfsmount)
{
	u32 flags;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(flags) : "r"(vfsmount), "i"(UM_OFF_VFSMOUNT_FLAGS));
	return flags;
}
#define UM_FLAGS_OF(vfsmount) um_load_flags(vfsmount)
#else
static __always_inline u32 um_read_flags(u64 vfsmount)
{
	u32 flags = 0;

	UM_READ(flags, vfsmount + UM_OFF_VFSMOUNT_FLAGS);
	return flags;
}
#define UM_FLAGS_OF(vfsmount) um_read_flags(vfsmount)
#endif

static __always_inline u32 um_ns_of(u64 mnt)
{
	u64 ns = 0;
	u32 inum = 0;

	UM_READ(ns, mnt + UM_OFF_MOUNT_NS);
	if (ns && ns < (u64)-4096) /* may be an error pointer: internal mounts */
		UM_READ(inum, ns + UM_OFF_MNT_NS_INUM);
	return inum;
}

static __always_inline u64 um_mount_id(u64 mnt)
{
#ifdef UM_OFF_MOUNT_ID_UNIQUE
	u64 id = 0;

	UM_READ(id, mnt + UM_OFF_MOUNT_ID_UNIQUE);
#else
	int id = 0;

	UM_READ(id, mnt + UM_OFF_MOUNT_ID);
#endif
	return id;
}
#else
#define um_ns_of(mnt) 0
#endif

#endif
