/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which tasks have something open on some mounts, asked of the kernel after an EBUSY. The kernel
 * calls the program for each task (iter/task, 5.8: eaaacd23910f "bpf: Add task and task/file
 * iterator targets"). It takes no reference and no lock: it reads the task's open files, working
 * directory, root directory and executable as they are at that moment, so the answer says where to
 * look, and is no evidence by itself.
 */
#include "mount.h"
#include "steps.h"

#if defined(UM_BPF_LOOP) && defined(UM_OFF_TABLE_MAX) && defined(UM_OFF_FILE_MNT) && \
	defined(UM_OFF_TASK_TGID) && defined(UM_OFF_MOUNT_MNT)
#define UM_WANTED 256
#define UM_MOST_FDS (1 << 20)
#define UM_PF_KTHREAD 0x00200000
enum um_held_as { UM_AT_CWD = 1, UM_AT_ROOT = 2, UM_AT_EXE = 4 };

/* A task, as user space gets it. */
struct um_holds {
	u32 tgid, tid;
	u32 places; /* bits of enum um_held_as */
	u32 files;  /* descriptors on the mounts */
};

/* What um_step_table has of the table of descriptors that it walks. */
struct um_fdtable {
	u64 files, open; /* arrays: struct file *, and a bit for each that is open */
	u64 word;	 /* the bits of this and the next descriptors */
	u32 at, max;
	struct um_holds holds;
};

/* By mount id, that of mountinfo and that of statmount(2), which are never the same number. */
BPF_HASH(wanted, u64, u32, UM_WANTED);
BPF_ARRAY(fdtable, struct um_fdtable, 1); /* one pass runs at a time */

static long (*um_seq_write)(void *seq, const void *from, u32 bytes) = (void *)127;

static __always_inline int um_is_wanted(u64 vfsmount)
{
	u64 mnt = vfsmount - UM_OFF_MOUNT_MNT, id;

	if (!vfsmount)
		return 0;
	id = um_half_word(mnt + UM_OFF_MOUNT_ID);
	if (wanted.lookup(&id))
		return 1;
#ifdef UM_OFF_MOUNT_ID_UNIQUE
	id = um_word(mnt + UM_OFF_MOUNT_ID_UNIQUE);
	if (wanted.lookup(&id))
		return 1;
#endif
	return 0;
}

static __always_inline struct um_fdtable *um_fdtable(void)
{
	u32 zero = 0;

	return fdtable.lookup(&zero);
}

static __always_inline int um_step_of_table(struct um_fdtable *t)
{
	u32 at = t->at, bit = at & 63;
	u64 file;

	if (at >= t->max)
		return 1;
	if (!bit)
		t->word = um_word(t->open + at / 8);
	if (!(t->word >> bit)) {
		t->at = (at | 63) + 1;
		return 0;
	}
	t->at = at + 1;
	if (!(t->word >> bit & 1))
		return 0;
	file = um_word(t->files + at * 8ULL);
	if (file && um_is_wanted(um_word(file + UM_OFF_FILE_MNT)))
		t->holds.files++;
	return 0;
}

UM_STEP(table)
{
	struct um_fdtable *t = um_fdtable();

	return t ? um_step_of_table(t) : 1;
}

/* Threads share most: ``leader`` is the first thread, or 0 for that one itself. */
static __always_inline void um_look_at_files(struct um_fdtable *t, u64 task, u64 leader)
{
	u64 files = um_word(task + UM_OFF_TASK_FILES), table;

	if (!files || (leader && um_word(leader + UM_OFF_TASK_FILES) == files))
		return;
	table = um_word(files + UM_OFF_FILES_TABLE);
	t->files = um_word(table + UM_OFF_TABLE_FD);
	t->open = um_word(table + UM_OFF_TABLE_OPEN);
	t->max = um_half_word(table + UM_OFF_TABLE_MAX);
	t->at = 0;
	um_each(UM_MOST_FDS, UM_STEP_TABLE);
}

static __always_inline u32 um_places_of(u64 task, u64 leader)
{
	u64 fs = um_word(task + UM_OFF_TASK_FS), mm, exe;
	u32 places = 0;

	if (fs && !(leader && um_word(leader + UM_OFF_TASK_FS) == fs)) {
		if (um_is_wanted(um_word(fs + UM_OFF_FS_PWD_MNT)))
			places |= UM_AT_CWD;
		if (um_is_wanted(um_word(fs + UM_OFF_FS_ROOT_MNT)))
			places |= UM_AT_ROOT;
	}
	mm = leader ? 0 : um_word(task + UM_OFF_TASK_MM);
	exe = mm ? um_word(mm + UM_OFF_MM_EXE) : 0;
	if (exe && um_is_wanted(um_word(exe + UM_OFF_FILE_MNT)))
		places |= UM_AT_EXE;
	return places;
}

/* Context: struct bpf_iter_meta *, with the seq_file first; struct task_struct *, 0 at the end. */
int um_holders(u64 *ctx)
{
	u64 task = um_to_scalar(ctx[1]), leader;
	struct um_fdtable *t = um_fdtable();
	void *meta = (void *)ctx[0], *seq;

	if (!task || !t || um_half_word(task + UM_OFF_TASK_FLAGS) & UM_PF_KTHREAD)
		return 0;
	leader = um_word(task + UM_OFF_TASK_LEADER);
	if (leader == task)
		leader = 0;
	t->holds.tgid = um_half_word(task + UM_OFF_TASK_TGID);
	t->holds.tid = um_half_word(task + UM_OFF_TASK_PID);
	t->holds.files = 0;
	t->holds.places = um_places_of(task, leader);
	um_look_at_files(t, task, leader);
	if (!t->holds.places && !t->holds.files)
		return 0;
	/* A typed pointer must be loaded as one, and bcc would make this a call. */
	asm volatile("%0 = *(u64 *)(%1 + 0)" : "=r"(seq) : "r"(meta));
	um_seq_write(seq, &t->holds, sizeof(t->holds));
	return 0;
}
#endif
