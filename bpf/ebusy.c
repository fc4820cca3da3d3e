/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Evidence that separates a busy mount from one that was busy for a moment only: the path walkers
 * that take and put references, and block devices that another user keeps from being claimed. Also
 * claims that succeed where a shutdown that is put off would have kept them from it.
 */
#include "armed.h"
#include "caller.h"
#include "claims.h"
#include "frames.h"
#include "placement.h"

/*
 * ---- path walkers ----
 *
 * Every path walk hits these probes. So they need --probes full, and take only dying or armed mounts.
 */

#ifdef UM_WITH_WALKERS
#define UM_BACK_FROM(call) (-(call) - 2) /* as um_syscall() says it */
#define UM_PF_EXITING 4
#define UM_MNT_DYING 0x0b000000 /* MNT_DOOMED | MNT_SYNC_UMOUNT | MNT_UMOUNT, 5.10 to 7.3 */

static __always_inline void um_walker(u16 kind, u64 mnt, u64 flags, int ret, u32 left, u32 parent)
{
	struct um_event *e = um_foreign(kind, mnt, bpf_ktime_get_ns());

	if (!e)
		return;
	e->ret = ret;
	e->a = flags;
	e->b = left;
	e->seq = parent;
	um_submit(e);
}

/*
 * Why a task puts a reference from before the check, as flags: it is exiting, or the first execve
 * since its fork closed the file, which it had from its parent.
 */
static __always_inline u64 um_leaving(int syscall, u32 *parent)
{
	u64 task = bpf_get_current_task(), flags = 0, found = 0;
#ifdef UM_OFF_TASK_PARENT
	u64 father = um_word(task + UM_OFF_TASK_PARENT);
	u32 execs = um_half_word(task + UM_OFF_TASK_EXECS);

	*parent = um_half_word(father + UM_OFF_TASK_TGID);
	if ((syscall == UM_BACK_FROM(59) || syscall == UM_BACK_FROM(322)) && /* execve, execveat */
	    execs == um_half_word(task + UM_OFF_TASK_EXECS_BEFORE) + 1)
		found |= UM_PUT_FIRST_EXEC;
#endif
#ifdef UM_OFF_TASK_FLAGS
	flags = um_half_word(task + UM_OFF_TASK_FLAGS);
	if (flags & UM_PF_EXITING)
		found |= UM_PUT_EXITING;
#endif
	return found;
}

UM_HOT_ENTRY(__legitimize_mnt)
{
	um_save(UM_ARG(0));
	return 0;
}

UM_HOT_RETURN(__legitimize_mnt)
{
	int ret = (int)UM_HOT_RETVAL(2);
	struct um_armed *slot;
	u64 vfsmount, mnt;
	u32 flags = 0;

	if (!ret && !um_any_armed())
		return 0;
	vfsmount = UM_HOT_ARG(0, um_saved());
	if (!vfsmount)
		return 0;
	mnt = vfsmount - UM_OFF_MOUNT_MNT;
	if (ret) { /* of a mount that is not dying, this is noise: any mount or umount causes it */
		UM_READ(flags, vfsmount + UM_OFF_VFSMOUNT_FLAGS);
		if (flags & UM_MNT_DYING) {
			um_walker(UM_WALK, mnt, flags, ret, 0, 0);
			return 0;
		}
	}
	if (ret > 0)
		return 0;
	slot = um_armed(mnt);
	if (!slot)
		return 0;
	if (!ret) /* at -1 the put may come from an inlined mntput, which no probe sees */
		um_take(slot, mnt);
	if (um_take_budget(&slot->budget))
		um_walker(UM_WALK, mnt, flags, ret, 0, 0);
	return 0;
}

static __always_inline int um_is_put(u64 mnt, u32 flags)
{
	struct um_armed *slot;
	int now, syscall = 0;
	u32 parent = 0;
	u64 more = 0;

	if (flags & UM_MNT_DYING) {
		um_walker(UM_PUT, mnt, flags, 0, 0, 0);
		return 0;
	}
	slot = um_armed(mnt);
	if (!slot)
		return 0;
	if (um_put_taken(slot, mnt)) {
		um_has_walked(slot);
	} else if (!slot->blind) {
		syscall = um_syscall();
		/* Many puts come here where the kernel skips takes, so puts of path calls may be left out. */
		if (um_take_budget(&slot->earlier))
			more |= UM_PUT_EARLIER;
		else if (!um_is_path_syscall(syscall))
			slot->blind = 1;
		if (um_is_path_syscall(syscall))
			um_has_walked(slot);
		else if (um_may_have_opened(slot))
			more |= UM_PUT_WALKED;
	}
	if (um_initial_refs_gone(slot, mnt, 1, &now)) /* 1: the reference that is about to be put */
		more |= UM_PUT_SETTLED;
	if (!slot->blind)
		more |= um_arming(slot);
	if (now == 2)
		slot->mnt = 0; /* a retry would succeed from here on */
	else if (!(more & (UM_PUT_SETTLED | UM_PUT_EARLIER)) && !um_take_budget(&slot->budget))
		return 0;
	/* Not before the counts: the verifier follows their loops once for each way to come there. */
	if (more & UM_PUT_EARLIER)
		more |= um_leaving(syscall, &parent);
	um_walker(UM_PUT, mnt, flags | more, syscall, now > 0 ? now : 0, parent);
	return 0;
}

/* A path walk calls it twice, once with NULL. The callers in fs/namespace.c have it inlined. */
UM_ENTRY(mntput)
{
	u64 vfsmount = UM_ARG(0);

	return vfsmount ? um_is_put(vfsmount - UM_OFF_MOUNT_MNT, UM_FLAGS_OF(vfsmount)) : 0;
}

/*
 * The last close of a descriptor of open_tree(2) or fsmount(2). 7.3 puts the mount in this function,
 * which has mntput inlined; until 6.18, its caller does by mntput.
 */
UM_ENTRY(dissolve_on_fput)
{
#ifdef UM_DISSOLVE_PUTS
	u64 vfsmount = UM_ARG(0);

	return um_is_put(vfsmount - UM_OFF_MOUNT_MNT, UM_FLAGS_OF(vfsmount));
#else
#ifdef UM_DISSOLVE_UNKNOWN
	struct um_armed *slot = um_armed(UM_ARG(0) - UM_OFF_MOUNT_MNT);

	if (slot)
		slot->blind = 1;
#endif
	return 0;
#endif
}

#ifndef UM_FENTRY
/*
 * Whether fs/namespace.c itself puts this reference, which does not pass mntput: an umount puts the
 * mount, cleanup_mnt the mounts below it, and the lookup of a mount the reference that it took
 * while the mount tree changed.
 */
static __always_inline int um_is_namespaces_own(struct pt_regs *ctx)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	u64 caller = 0;

	if (task && (task->in_umount || task->in_unlock))
		return 1;
#if defined(__aarch64__)
	caller = PT_REGS_RET(ctx);
#else
	UM_READ(caller, PT_REGS_SP(ctx));
#endif
	return UM_IN(caller, UM_FN_CLEANUP) | UM_IN(caller, UM_FN_LOOKUP_MNT);
}

/*
 * mntput calls this for everything but NULL. A kprobe here has half the hits, and the cost of a hit
 * is three times that of the program.
 */
UM_ENTRY(mntput_no_expire)
{
	u64 mnt = UM_ARG(0);
	u32 flags = 0;

	UM_READ(flags, mnt + UM_OFF_FLAGS);
	if (!(flags & UM_MNT_DYING) && !um_any_armed())
		return 0;
	return um_is_namespaces_own(ctx) ? 0 : um_is_put(mnt, flags);
}
#endif
#endif

/* ---- block devices: a claim by O_EXCL, mkfs or mount fails, or succeeds soon after an umount ---- */

#ifndef UM_CLAIM_ARGS
#define UM_CLAIM_ARGS 2
#endif

static __always_inline void um_failed(u64 call, u32 dev)
{
	struct um_event *e = um_foreign(UM_FAILED, 0, bpf_ktime_get_ns());

	if (!e)
		return;
	e->ret = -UM_EBUSY;
	e->a = call;
	e->b = dev;
	um_submit(e);
}

UM_COUNT_ENTRY(bd_prepare_to_claim)
{
	um_stash(UM_SLOT_CLAIM, UM_ARG(0));
	return 0;
}

UM_RETURN(bd_prepare_to_claim)
{
	u64 bdev = UM_RETURN_ARG(0, um_stashed(UM_SLOT_CLAIM));
	int ret = (int)UM_RETVAL(UM_CLAIM_ARGS);
	u32 dev = 0;

	if (ret && ret != -UM_EBUSY)
		return 0;
#ifdef UM_OFF_BDEV_DEV
	UM_READ(dev, bdev + UM_OFF_BDEV_DEV);
#endif
	if (ret)
		um_failed(UM_FAILED_CLAIM, dev);
	else if (dev)
		um_claimed(dev);
	return 0;
}

#ifndef UM_LIGHT
/*
 * ---- mounts that fail: the superblock of the device lives on, with other options ----
 *
 * The file system finds the superblock, takes a reference, sees that read-only differs from what the
 * mount asks for, and drops the reference again.
 */
BPF_TABLE("lru_hash", u32, u32, dropped_sb, 256); /* by task: the device of the last one it dropped */

UM_ENTRY(deactivate_locked_super)
{
#ifdef UM_OFF_SB_ACTIVE
	u32 tid = bpf_get_current_pid_tgid(), dev = 0;
	u64 sb = UM_ARG(0);
	int active = 0;

	UM_READ(active, sb + UM_OFF_SB_ACTIVE);
	if (active <= 1)
		return 0;
	UM_READ(dev, sb + UM_OFF_SB_DEV);
	dropped_sb.update(&tid, &dev);
#endif
	return 0;
}

UM_RETURN(vfs_get_tree)
{
	u32 tid = bpf_get_current_pid_tgid(), *dev = dropped_sb.lookup(&tid);

	if (!dev)
		return 0;
	if ((int)UM_RETVAL(1) == -UM_EBUSY)
		um_failed(UM_FAILED_MOUNT, *dev);
	dropped_sb.delete(&tid); /* after a success too: the next call must not find it */
	return 0;
}
#endif
