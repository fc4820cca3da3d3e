// SPDX-License-Identifier: GPL-2.0
/*
 * Designs of namespace_unlock(), for the lab of umtrace: the switch and the counts.
 *
 * The switch is umount_design=NAME on the kernel's command line, or the sysctl fs.umount-design.
 * /proc/fs/umount-design has the counts, -ops one line for each namespace_unlock() with victims and
 * -mounts one line for each victim that is gone. Writing to the first one sets all to zero.
 */
#include <linux/init.h>
#include <linux/ktime.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/sysctl.h>
#include <linux/vmalloc.h>
#include "umount_design.h"

/* In kernel/rcu/rcu.h, which is RCU's own. */
unsigned long rcu_get_gp_seq(void);
unsigned long rcu_exp_batches_completed(void);

#define LOG_SIZE 32768

struct umd_gone_mount {
	struct umd_mount mnt;
	u64 gone;
	pid_t by;
	bool kthread;
};

struct umd_tail {
	u64 mounts;
	u64 sum;
	u64 max;
};

struct umd_counts {
	u64 operations;
	u64 mounts;
	u64 held_operations;
	u64 held_mounts;
	u64 waits;
	u64 rounds;		/* grace periods that work items asked for */
	u64 deferred;		/* mounts */
	int depth;		/* mounts that are deferred and not gone */
	int deepest;
	int running;		/* cleanup_mnt() in kernel threads */
	int most_running;
	struct umd_tail tails[UMD_KINDS][2];	/* by who ran it: user task, kernel thread */
	u64 gone;
};

static const char * const design_names[] = {
	[UMD_A] = "A", [UMD_B] = "B", [UMD_B2] = "B2", [UMD_C] = "C", [UMD_D] = "D", [UMD_N] = "N",
};
static const char * const kind_names[] = {
	[UMD_SYNC] = "sync", [UMD_LAZY] = "lazy", [UMD_TEARDOWN] = "teardown",
};

static enum umd_design chosen __read_mostly = UMD_A;
static DEFINE_SPINLOCK(lock);
static struct umd_counts counts;
static struct umd_op *ops;
static struct umd_gone_mount *gone_mounts;

enum umd_design umd_design(void)
{
	return READ_ONCE(chosen);
}

static int choose(const char *name)
{
	int found = match_string(design_names, UMD_DESIGNS, name);

	if (found < 0)
		return -EINVAL;
	WRITE_ONCE(chosen, found);
	return 0;
}

static int __init choose_at_boot(char *name)
{
	if (choose(name))
		pr_err("umount_design=%s: there are A, B, B2, C, D and N\n", name);
	return 1;
}
__setup("umount_design=", choose_at_boot);

void umd_stamp(struct umd_mount *mnt, u64 now, enum umd_kind kind)
{
	mnt->stamp = now;
	mnt->tid = current->pid;
	mnt->kind = kind;
}

void umd_operation(struct umd_op *op)
{
	op->tid = current->pid;
	spin_lock(&lock);
	if (ops)
		ops[counts.operations % LOG_SIZE] = *op;
	counts.operations++;
	counts.mounts += op->mounts;
	counts.waits += op->waited;
	if (op->held > 0) {
		counts.held_operations++;
		counts.held_mounts += op->held;
	}
	spin_unlock(&lock);
}

void umd_defer(struct umd_mount *mnt, bool direct)
{
	mnt->deferred = true;
	mnt->direct = direct;
	spin_lock(&lock);
	counts.deferred++;
	counts.depth++;
	counts.deepest = max(counts.deepest, counts.depth);
	spin_unlock(&lock);
}

void umd_round(void)
{
	spin_lock(&lock);
	counts.rounds++;
	spin_unlock(&lock);
}

void umd_cleanup(void)
{
	if (!(current->flags & PF_KTHREAD))
		return;
	spin_lock(&lock);
	counts.running++;
	counts.most_running = max(counts.most_running, counts.running);
	spin_unlock(&lock);
}

void umd_gone(const struct umd_mount *mnt)
{
	bool kthread = current->flags & PF_KTHREAD;
	u64 now = ktime_get_ns();

	spin_lock(&lock);
	if (kthread)
		counts.running--;
	if (mnt->deferred)
		counts.depth--;
	if (mnt->stamp) {	/* else a mount of the kernel's own, or one never attached */
		struct umd_tail *tail = &counts.tails[mnt->kind][kthread];

		tail->mounts++;
		tail->sum += now - mnt->stamp;
		tail->max = max(tail->max, now - mnt->stamp);
		if (gone_mounts)
			gone_mounts[counts.gone % LOG_SIZE] = (struct umd_gone_mount) {
				.mnt = *mnt, .gone = now, .by = current->pid, .kthread = kthread,
			};
		counts.gone++;
	}
	spin_unlock(&lock);
}

static int show_counts(struct seq_file *m, void *unused)
{
	struct umd_counts now;
	int kind, kthread;

	spin_lock(&lock);
	now = counts;
	spin_unlock(&lock);
	seq_printf(m, "design %s\n", design_names[umd_design()]);
	seq_printf(m, "operations %llu\nmounts %llu\n", now.operations, now.mounts);
	seq_printf(m, "held_operations %llu\nheld_mounts %llu\n", now.held_operations,
		   now.held_mounts);
	seq_printf(m, "waits %llu\nrounds %llu\n", now.waits, now.rounds);
	seq_printf(m, "deferred %llu\ndepth %d\ndeepest %d\nmost_running %d\n", now.deferred,
		   now.depth, now.deepest, now.most_running);
	for (kind = 0; kind < UMD_KINDS; kind++)
		for (kthread = 0; kthread < 2; kthread++) {
			struct umd_tail *tail = &now.tails[kind][kthread];
			const char *by = kthread ? "kworker" : "task";

			seq_printf(m, "gone_%s_%s %llu\n", kind_names[kind], by, tail->mounts);
			seq_printf(m, "tail_sum_ns_%s_%s %llu\n", kind_names[kind], by, tail->sum);
			seq_printf(m, "tail_max_ns_%s_%s %llu\n", kind_names[kind], by, tail->max);
		}
	/* Of the whole kernel, also what others asked for; the first begins below zero. */
	seq_printf(m, "normal_grace_periods %ld\n", (long)rcu_get_gp_seq() >> 2);
	seq_printf(m, "expedited_grace_periods %ld\n", (long)rcu_exp_batches_completed() >> 2);
	return 0;
}

static int open_counts(struct inode *inode, struct file *file)
{
	return single_open(file, show_counts, NULL);
}

static ssize_t reset_counts(struct file *file, const char __user *text, size_t size, loff_t *at)
{
	int depth, running;

	spin_lock(&lock);
	depth = counts.depth;
	running = counts.running;
	memset(&counts, 0, sizeof(counts));
	counts.depth = depth;
	counts.running = running;
	spin_unlock(&lock);
	return size;
}

static const struct proc_ops counts_ops = {
	.proc_open = open_counts,
	.proc_read = seq_read,
	.proc_write = reset_counts,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

/* The logs are read when the load has ended; a line that is written meanwhile may be torn. */
static int show_ops(struct seq_file *m, void *unused)
{
	u64 i, n = READ_ONCE(counts.operations);

	seq_puts(m, "unlocked_ns tid design mounts held waited deferred\n");
	for (i = n > LOG_SIZE ? n - LOG_SIZE : 0; ops && i < n; i++) {
		struct umd_op *op = &ops[i % LOG_SIZE];

		seq_printf(m, "%llu %d %s %d %d %d %d\n", op->unlocked, op->tid,
			   design_names[op->design], op->mounts, op->held, op->waited,
			   op->deferred);
	}
	return 0;
}

static int show_mounts(struct seq_file *m, void *unused)
{
	u64 i, n = READ_ONCE(counts.gone);

	seq_puts(m, "unmounted_ns gone_ns tid kind deferred by kthread\n");
	for (i = n > LOG_SIZE ? n - LOG_SIZE : 0; gone_mounts && i < n; i++) {
		struct umd_gone_mount *one = &gone_mounts[i % LOG_SIZE];

		seq_printf(m, "%llu %llu %d %s %d %d %d\n", one->mnt.stamp, one->gone,
			   one->mnt.tid, kind_names[one->mnt.kind], one->mnt.deferred, one->by,
			   one->kthread);
	}
	return 0;
}

static char name_buffer[8];
static DEFINE_MUTEX(name_lock);

static int handle_name(const struct ctl_table *table, int write, void *buffer, size_t *size,
		       loff_t *at)
{
	int error;

	mutex_lock(&name_lock);
	strscpy(name_buffer, design_names[umd_design()], sizeof(name_buffer));
	error = proc_dostring(table, write, buffer, size, at);
	if (!error && write)
		error = choose(strim(name_buffer));
	mutex_unlock(&name_lock);
	return error;
}

static struct ctl_table design_sysctls[] = {
	{
		.procname	= "umount-design",
		.data		= name_buffer,
		.maxlen		= sizeof(name_buffer),
		.mode		= 0644,
		.proc_handler	= handle_name,
	},
};

static int __init umd_init(void)
{
	ops = vzalloc(array_size(LOG_SIZE, sizeof(*ops)));
	gone_mounts = vzalloc(array_size(LOG_SIZE, sizeof(*gone_mounts)));
	register_sysctl_init("fs", design_sysctls);
	proc_create("fs/umount-design", 0644, NULL, &counts_ops);
	proc_create_single("fs/umount-design-ops", 0444, NULL, show_ops);
	proc_create_single("fs/umount-design-mounts", 0444, NULL, show_mounts);
	return 0;
}
fs_initcall(umd_init);
