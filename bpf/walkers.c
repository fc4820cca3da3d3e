/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The path walkers: hot, so only with --probes full, and of these only dying mounts. */
#ifdef UM_WITH_WALKERS
#define UM_MNT_DYING 0x0b000000 /* MNT_DOOMED | MNT_SYNC_UMOUNT | MNT_UMOUNT, 5.10 to 7.3 */

static __always_inline void um_walker(u16 kind, u64 vfsmount, u32 flags, int ret)
{
	u64 id = bpf_get_current_pid_tgid();
	struct um_event *e = um_begin(bpf_ktime_get_ns(), id, id >> 32, kind, 0);

	if (!e)
		return;
	e->mnt = vfsmount - UM_OFF_MOUNT_MNT;
	e->cpu |= UM_FOREIGN;
	e->ret = ret;
	e->a = flags;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	um_submit(e);
}

UM_HOT_ENTRY(__legitimize_mnt)
{
	um_stash(UM_SLOT_WALK, UM_ARG(0));
	return 0;
}

UM_RETURN(__legitimize_mnt)
{
	u64 vfsmount = UM_RETURN_ARG(0, um_stashed(UM_SLOT_WALK));
	int ret = (int)UM_RETVAL(2);
	u32 flags = 0;

	if (!vfsmount || !ret)
		return 0;
	UM_READ(flags, vfsmount + UM_OFF_VFSMOUNT_FLAGS);
	/* 1 without a dying mount is the noise of any mount or umount anywhere. */
	if (ret < 0 || (flags & UM_MNT_DYING))
		um_walker(UM_WALK, vfsmount, flags, ret);
	return 0;
}

UM_ENTRY(mntput)
{
	u64 vfsmount = UM_ARG(0);
	u32 flags = 0;

	if (!vfsmount)
		return 0;
	UM_READ(flags, vfsmount + UM_OFF_VFSMOUNT_FLAGS);
	if (flags & UM_MNT_DYING)
		um_walker(UM_PUT, vfsmount, flags, 0);
	return 0;
}
#endif
