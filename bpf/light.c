/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The programs of --probes light, instead of all others that see umounts, but for those of the system
 * call. None of them runs once per mount.
 */
#include "armed.h"
#include "claims.h"
#include "light.h"
#include "origin.h"
#include "placement.h"

#define UM_PROPAGATE 2 /* UMOUNT_PROPAGATE: umount_tree is called by umount(2), or by an expiry */

/* ---- what is taken down ---- */

static __always_inline void um_identify(struct um_task *task, u64 mnt)
{
	task->mnt = mnt;
#ifdef UM_OFF_MOUNT_MNT
	u64 type, name;
	u32 dev, flags;
#ifdef UM_FENTRY /* plain loads, which a typed pointer allows */
	u64 sb, id;

	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(sb) : "r"(mnt), "i"(UM_OFF_SB));
	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(flags) : "r"(mnt), "i"(UM_OFF_FLAGS));
	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(dev) : "r"(sb), "i"(UM_OFF_SB_DEV));
	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(type) : "r"(sb), "i"(UM_OFF_SB_TYPE));
	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(name) : "r"(type), "i"(UM_OFF_FSTYPE_NAME));
#ifdef UM_OFF_MOUNT_ID_UNIQUE
	asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(id) : "r"(mnt), "i"(UM_OFF_MOUNT_ID_UNIQUE));
#else
	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(id) : "r"(mnt), "i"(UM_OFF_MOUNT_ID));
#endif
	task->light.mount_id = id;
#else
	struct um_view view;

	dev = 0;
	type = name = 0;
	um_read_mount(&view, mnt);
	um_read_sb(view.sb, &dev, &type);
	UM_READ(name, type + UM_OFF_FSTYPE_NAME);
	flags = view.flags;
	task->light.mount_id = um_mount_id(mnt);
#endif
	task->light.dev = dev;
	task->light.flags = flags;
	if (UM_MAJOR(dev))
		um_vacates(dev, bpf_ktime_get_ns());
	bpf_probe_read_kernel_str(task->light.fstype, sizeof(task->light.fstype), (void *)name);
#endif
}

/* A teardown outside umount(2), which sends its events as they happen. */
static __always_inline void um_open_teardown(u32 tid, u64 mnt, u32 origin)
{
	u64 id = bpf_get_current_pid_tgid(), ts = bpf_ktime_get_ns();
	struct um_task fresh = {.tgid = id >> 32, .phase = UM_TEARDOWN_IN, .by_function = 1};
	struct um_task *task;
	u32 mntns = um_ns_of(mnt);

	fresh.seq = (u32)ts + 1;
	fresh.origin = origin;
	um_begun(&fresh, UM_TEARDOWN, ts);
	task = um_follow(tid, &fresh);
	if (!task)
		return;
	um_send_opener(ts, tid, fresh.tgid, UM_TEARDOWN, ts, mnt, task->origin, mntns, 0);
	if (origin & UM_NO_CALLER)
		um_emit_simple(tid, task, UM_UNSEEN, UM_UNSEEN_CALLER);
	um_identify(task, mnt);
	um_send_identity(tid, task, ts);
}

UM_ENTRY(umount_tree)
{
	u32 tid, origin;
	u64 mnt = UM_ARG(0);
	int how = (int)UM_ARG(1);
	struct um_task *task = um_current(&tid);

	if (task && task->phase == UM_INSIDE) {
		/* Any other is one inside the path walk. The last one is of the mount itself, the others are of
		 * mounts on it that expire. */
		if (how & UM_PROPAGATE) {
			task->in_umount = 1;
			um_identify(task, mnt);
		}
		return 0;
	}
	if (task && task->phase == UM_TEARDOWN_IN)
		return 0;
	if (!task && !um_all_there())
		return 0;
	origin = um_origin(ctx);
	if (task) {
		if (origin & UM_IN_CLEANUP) /* inside the task work of another one: it has no row of its own */
			return 0;
		if (task->by_function && (origin & UM_ORIGIN) != UM_BY_UMOUNT)
			return 0; /* a further part of the same way out */
		um_finish(tid, task, UM_RETURNED_SYSCALL);
	}
	um_open_teardown(tid, mnt, origin);
	return 0;
}

/* Whether the task takes down what its operation is about. */
static __always_inline int um_takes_down(struct um_task *task)
{
	return task->by_function || (task->phase == UM_INSIDE && task->in_umount);
}

UM_ENTRY(namespace_unlock)
{
	u32 tid;
	struct um_task *task = um_current(&tid);
	u64 count;

	if (!task || !um_takes_down(task))
		return 0;
	count = um_unmounted();
	task->in_unlock = 1;
	task->in_umount = 0;
	if (task->by_function)
		um_emit(tid, task, UM_UNLOCK, task->mnt, 0, count, 0);
	else
		task->n_mounts = count;
	return 0;
}

static __always_inline void um_teardown_ends(u32 tid, struct um_task *task)
{
	u64 ts = bpf_ktime_get_ns();
	/* A file that is closed has a reference of its own to the mount, and puts it next. */
	int more = task->origin == UM_BY_FD_CLOSE || task->origin == UM_BY_OTHER;

	if (um_is_kthread())
		um_over(tid, task, ts, UM_RETURNED_KTHREAD); /* it has no task work */
	else if (um_has_works())
		um_leave(task, 0);
	else if (more && um_references(task->mnt) <= 1)
		um_leave(task, 1);
	else
		um_over(tid, task, ts, UM_RETURNED_NO_WORK);
}

UM_RETURN(namespace_unlock)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (!task || !task->in_unlock)
		return 0;
	task->in_unlock = 0;
	if (!task->by_function)
		return 0;
	um_emit(tid, task, UM_UNLOCK_EXIT, task->mnt, 0, 0, 0);
	if (task->phase == UM_TEARDOWN_IN)
		um_teardown_ends(tid, task);
	return 0;
}

/* ---- the grace period ---- */

UM_ENTRY(synchronize_rcu_expedited)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (!task || !task->in_unlock)
		return 0;
	task->grace_period = UM_GP_UNKNOWN;
	task->in_rcu = 1;
	if (task->by_function) {
		um_emit(tid, task, UM_RCU, task->mnt, 0, 0, 0);
		return 0;
	}
	task->light.rcu_began_ns = bpf_ktime_get_ns();
	um_stands(task, UM_RCU, task->light.rcu_began_ns);
	return 0;
}

static __always_inline void um_waits_normally(void)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (task && task->in_rcu)
		task->grace_period = UM_GP_NORMAL;
}

UM_ENTRY(synchronize_rcu_normal)
{
	um_waits_normally();
	return 0;
}

UM_ENTRY(__wait_rcu_gp)
{
	um_waits_normally();
	return 0;
}

UM_RETURN(synchronize_rcu_expedited)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (!task || !task->in_unlock)
		return 0;
	if (task->by_function) {
		um_emit(tid, task, UM_RCU_EXIT, task->mnt, task->grace_period, 0, 0);
	} else if (task->in_rcu) {
		u64 ts = bpf_ktime_get_ns();

		task->light.rcu_ns += ts - task->light.rcu_began_ns;
		um_stands(task, UM_RCU_EXIT, ts);
		task->light.waits++;
	} else { /* its entry was skipped */
		task->seq++;
	}
	task->in_rcu = 0;
	return 0;
}

/* ---- the way out ---- */

UM_RETURN(task_work_run)
{
	u32 tid;
	struct um_task *task = um_current(&tid);

	if (task && task->phase == UM_LEAVING)
		um_finish(tid, task, UM_RETURNED_WORKED);
	return 0;
}

int um_process_exit(void *ctx)
{
	struct um_active *n = um_active();
	struct um_task *task;
	u32 tid;

	if (!n || !n->followed)
		return 0;
	task = um_current(&tid);
	if (!task)
		return 0;
	if (task->phase == UM_LEAVING) {
		um_finish(tid, task, UM_RETURNED_DEATH);
		return 0;
	}
	if (task->phase == UM_INSIDE)
		um_emit_simple(tid, task, UM_DEAD, 0);
	um_forget(tid, task);
	return 0;
}
