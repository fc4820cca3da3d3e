/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Designs of namespace_unlock(), for the lab of umtrace: which one is in force, and what it does.
 *
 * The designs themselves are in namespace.c (namespace.patch). This counts their work, so that what
 * umtrace says and predicts can be compared with what the kernel knows.
 */
#ifndef _FS_UMOUNT_DESIGN_H
#define _FS_UMOUNT_DESIGN_H

#include <linux/types.h>

struct mount;

enum umd_design {
	UMD_A,	/* mainline: every umount waits for a grace period */
	UMD_B,	/* patch v4: lazy umounts by a work item each, puts through delayed_mntput() */
	UMD_B2,	/* as B, but the work item shuts the file system down itself */
	UMD_C,	/* all umounts by one work item with two lists */
	UMD_D,	/* a grace period only where somebody else holds a victim */
	UMD_N,	/* no grace period at all: wrong, it shows what the wait is for */
	UMD_DESIGNS,
};

enum umd_kind { UMD_SYNC, UMD_LAZY, UMD_TEARDOWN, UMD_KINDS };

/* What umount_tree() notes in each victim. */
struct umd_mount {
	u64 stamp;	/* CLOCK_MONOTONIC, 0: never unmounted */
	pid_t tid;	/* who unmounted it */
	u8 kind;	/* enum umd_kind */
	bool deferred;	/* its put was left to a work item */
	bool direct;	/* that work item runs cleanup_mnt() itself */
};

/* One namespace_unlock() with victims. */
struct umd_op {
	u64 unlocked;	/* when the lock was dropped */
	pid_t tid;
	int mounts;
	int held;	/* victims that somebody else held; -1: this design does not look */
	u8 design;
	bool waited;
	bool deferred;
};

enum umd_design umd_design(void);
void umd_stamp(struct umd_mount *mnt, u64 now, enum umd_kind kind);
void umd_operation(struct umd_op *op);
void umd_defer(struct umd_mount *mnt, bool direct);
void umd_round(void);
void umd_cleanup(void);
void umd_gone(const struct umd_mount *mnt);

#endif
