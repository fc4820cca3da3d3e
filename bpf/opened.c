/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which references to an armed mount belong to files that were opened, or to working directories
 * that were taken, since the busy check. Their puts are then not taken for those of holders.
 *
 * An opened file takes its reference in do_dentry_open(), and puts it in __fput(), maybe in another
 * task. No probe sees that it is taken, so the file itself is noted: a task that puts the reference of
 * a noted file puts one that was taken since. The same holds for the working directory of an
 * fs_struct that one task uses.
 *
 * What is noted stays true until the mount is armed anew, also if the object is freed, or its
 * memory used again: the next one is even younger. So an object that is not noted, because the
 * kernel skipped a program or another object needed its element, makes a put one from before,
 * which is never the put of fewer holders. Nothing that is skipped here is a hole.
 */
#include "armed.h"
#include "placement.h"

#ifdef UM_WITH_WALKERS
#ifdef UM_OFF_FILE_MNT
#define UM_OBJECTS_KNOWN
#else
#define UM_OFF_FILE_MNT 0
#define UM_OFF_FS_PWD_MNT 0
#define UM_OFF_FS_USERS 0
#define UM_OFF_TASK_FS 0
#endif

#define UM_NOTED 8192

/* One word for each object, by its address, so that two CPUs never mix what they note. */
BPF_ARRAY(noted, u64, UM_NOTED);

static __always_inline u64 *um_noted(u64 object)
{
	u32 at = (object >> 6 ^ object >> 19) & (UM_NOTED - 1);

	return noted.lookup(&at);
}

/* What is said of an object: that the reference it has to this mount was taken since this check. */
static __always_inline u64 um_since(u64 object, struct um_armed *slot)
{
	return object * 0x9e3779b97f4a7c15ULL + slot->mnt * 0xc2b2ae3d27d4eb4fULL +
	       slot->since_ns * 0x165667b19e3779f9ULL;
}

static __always_inline struct um_armed *um_armed_at(u64 at)
{
#ifdef UM_OBJECTS_KNOWN
	u64 vfsmount = um_word(at);

	return vfsmount ? um_armed(vfsmount - UM_OFF_MOUNT_MNT) : 0;
#else
	return 0;
#endif
}

/* The object is about to take a reference to the mount whose address is at ``at``. */
static __always_inline void um_note_object(u64 object, u64 at)
{
	struct um_armed *slot = um_armed_at(at);
	u64 *word;

	object = um_to_scalar(object);
	word = slot ? um_noted(object) : 0;
	if (word)
		*word = um_since(object, slot);
}

/* The object is about to put it: the mntput() that follows in this task puts one taken since. */
static __always_inline void um_puts_object(u64 object, u64 at)
{
	struct um_armed *slot = um_armed_at(at);
	u64 *word;

	object = um_to_scalar(object);
	word = slot ? um_noted(object) : 0;
	if (!word || *word != um_since(object, slot))
		return;
	*word = 0; /* exit_fs() and free_fs_struct() may both come here */
	um_take(slot, slot->mnt);
}

/* If the open call fails, no mount is left in the file, or nothing of it reaches __fput(). */
UM_ENTRY(do_dentry_open)
{
	u64 file = UM_ARG(0);

	if (um_any_armed())
		um_note_object(file, file + UM_OFF_FILE_MNT);
	return 0;
}

UM_ENTRY(__fput)
{
	u64 file = UM_ARG(0);

	if (um_any_armed())
		um_puts_object(file, file + UM_OFF_FILE_MNT);
	return 0;
}

/*
 * Of an fs_struct that threads share, nothing is noted and nothing claimed: another thread may
 * change the directory between a program and the function.
 */
static __always_inline int um_is_shared(u64 fs)
{
	return (int)um_half_word(fs + UM_OFF_FS_USERS) != 1;
}

UM_ENTRY(set_fs_pwd)
{
	u64 fs = UM_ARG(0), path = UM_ARG(1);

	if (!um_any_armed() || um_is_shared(fs))
		return 0;
	um_puts_object(fs, fs + UM_OFF_FS_PWD_MNT);
	um_note_object(fs, path + UM_OFF_PATH_MNT);
	return 0;
}

UM_ENTRY(exit_fs)
{
	u64 fs;

	if (!um_any_armed())
		return 0;
	fs = um_word(UM_ARG(0) + UM_OFF_TASK_FS);
	if (fs && !um_is_shared(fs))
		um_puts_object(fs, fs + UM_OFF_FS_PWD_MNT);
	return 0;
}

/* By unshare(2) and a clone(2) that fails; exit_fs() has it inlined. */
UM_ENTRY(free_fs_struct)
{
	u64 fs = UM_ARG(0);

	if (um_any_armed())
		um_puts_object(fs, fs + UM_OFF_FS_PWD_MNT);
	return 0;
}

/*
 * pivot_root(2) moves working directories of other tasks, maybe between a claim and its put. So from
 * here on nothing is decided by what is seen of the old root.
 */
UM_ENTRY(chroot_fs_refs)
{
	struct um_armed *slot;

	if (!um_any_armed())
		return 0;
	slot = um_armed_at(UM_ARG(0) + UM_OFF_PATH_MNT);
	if (slot)
		slot->blind = 1;
	return 0;
}
#endif
