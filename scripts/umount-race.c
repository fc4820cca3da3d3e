/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The delays of scripts/umount-race: where a loaded machine may hold either side up for a
 * moment, a kprobe does so until the other side is where the race wants it, and for a few
 * milliseconds at most. Nothing else is changed.
 */
#include <uapi/linux/ptrace.h>

#define MS 1000000ULL
#define MOST_LOOKS 3500 /* of a waiting loop, for the verifier */

struct walk {
	u64 vfsmount; /* of the mount under test, 0: another one */
	u32 must_put; /* 1: got -1; 2: has let others run since */
};

BPF_HASH(walks, u32, struct walk, 64);
BPF_ARRAY(flagging, u64, 1); /* when umount came to umount_tree */
BPF_ARRAY(counts, u64, 5);

static inline __attribute__((always_inline)) void count(int what)
{
	u64 *value = counts.lookup(&what);

	if (value)
		__sync_fetch_and_add(value, 1);
}

static inline __attribute__((always_inline)) int is_walker(void)
{
	char comm[16] = {};

	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0] == 'w' && comm[1] == 'a' && comm[2] == 'l' && comm[3] == 'k';
}

/* Takes a while, without a branch. */
static inline __attribute__((always_inline)) u64 later(void)
{
	bpf_ktime_get_ns();
	bpf_ktime_get_ns();
	bpf_ktime_get_ns();
	bpf_ktime_get_ns();
	bpf_ktime_get_ns();
	return bpf_ktime_get_ns();
}

static inline __attribute__((always_inline)) void wait(u64 ns)
{
	u64 end = bpf_ktime_get_ns() + ns;
	int i;

	for (i = 0; i < MOST_LOOKS; i++)
		if (later() > end)
			break;
}

int enter(struct pt_regs *ctx)
{
	u64 vfsmount = PT_REGS_PARM1(ctx), sb = 0;
	struct walk walk = {};
	u32 tid = bpf_get_current_pid_tgid(), dev = 0;

	if (!vfsmount || !is_walker())
		return 0;
	bpf_probe_read_kernel(&sb, sizeof(sb), (void *)(vfsmount + 8));
	bpf_probe_read_kernel(&dev, sizeof(dev), (void *)(sb + 16));
	walk.vfsmount = dev == OUTSIDE ? 0 : vfsmount;
	walks.update(&tid, &walk);
	return 0;
}

/* The walker has seen mount_lock free; let umount take it and find the count right. */
int before_take(struct pt_regs *ctx)
{
	u32 tid = bpf_get_current_pid_tgid(), zero = 0;
	struct walk *walk = walks.lookup(&tid);
	u64 begin, end, *at;
	int i;

	if (!walk || !walk->vfsmount)
		return 0;
	at = flagging.lookup(&zero);
	if (!at)
		return 0;
	count(0);
	begin = bpf_ktime_get_ns();
	end = begin + 2 * MS;
	for (i = 0; i < MOST_LOOKS; i++) {
		if (*(volatile u64 *)at > begin) {
			count(1);
			break;
		}
		if (later() > end)
			break;
	}
	return 0;
}

/* Umount has found the count right and has set no flag yet; it holds mount_lock. */
int before_flag(struct pt_regs *ctx)
{
	u64 now = bpf_ktime_get_ns();
	char comm[16] = {};
	u32 zero = 0;

	bpf_get_current_comm(comm, sizeof(comm));
	if (comm[0] != 'u' || comm[6] != '-')
		return 0;
	flagging.update(&zero, &now);
	wait(MS);
	return 0;
}

int leave(struct pt_regs *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct walk *walk = walks.lookup(&tid);

	if (!walk || !walk->vfsmount)
		return 0;
	if ((int)PT_REGS_RC(ctx) != -1)
		return 0;
	walk->must_put = 1;
	count(2);
	return 0;
}

/* dput() of the symlink outside may schedule: by then the grace period should ask for it. */
int before_schedule(struct pt_regs *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct walk *walk = walks.lookup(&tid);

	if (!walk || walk->must_put != 1 || !PT_REGS_PARM1(ctx))
		return 0;
	walk->must_put = 2;
	wait(4 * MS);
	return 0;
}

int before_put(struct pt_regs *ctx)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct walk *walk = walks.lookup(&tid);

	if (!walk || !walk->must_put || PT_REGS_PARM1(ctx) != walk->vfsmount)
		return 0;
	count(walk->must_put == 2 ? 3 : 4);
	walk->must_put = 0;
	wait(6 * MS);
	return 0;
}
