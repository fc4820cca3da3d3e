/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Declares for editors and for a plain C compiler what bcc and the loader provide, so that any file
 * of this folder opens and compiles alone. It is never part of what is loaded. The flags are in
 * compile_flags.txt.
 */
#ifndef UMTRACE_EDITOR_H
#define UMTRACE_EDITOR_H

#include <linux/types.h>
#include <uapi/linux/ptrace.h>

/* A map is a struct of functions, so that tasks.lookup(&key) compiles. */
#define UM_EDITOR_MAP(name, key, leaf) \
	static struct { \
		leaf *(*lookup)(key *); \
		int (*update)(key *, leaf *); \
		int (*delete)(key *); \
	} name __attribute__((unused))
#define BPF_HASH(name, key, leaf, size) UM_EDITOR_MAP(name, key, leaf)
#define BPF_TABLE(kind, key, leaf, name, size) UM_EDITOR_MAP(name, key, leaf)
#define BPF_ARRAY(name, leaf, size) UM_EDITOR_MAP(name, u32, leaf)
#define BPF_PERCPU_ARRAY(name, leaf, size) UM_EDITOR_MAP(name, u32, leaf)
#define BPF_RINGBUF_OUTPUT(name, pages) \
	static struct { \
		void *(*ringbuf_reserve)(u64); \
		void (*ringbuf_submit)(void *, u64); \
	} name __attribute__((unused))

struct bpf_raw_tracepoint_args {
	u64 args[16];
};

u64 bpf_ktime_get_ns(void);
u64 bpf_get_current_pid_tgid(void);
u64 bpf_get_current_cgroup_id(void);
u64 bpf_get_current_task(void);
u32 bpf_get_smp_processor_id(void);
int bpf_get_current_comm(void *to, u32 size);
u64 bpf_pseudo_fd(u64 kind, u64 id);
int bpf_get_stack(void *ctx, void *to, u32 size, u64 flags);
int bpf_probe_read_kernel(void *to, u32 size, const void *from);
int bpf_probe_read_kernel_str(void *to, u32 size, const void *from);
int bpf_probe_read_user_str(void *to, u32 size, const void *from);

#ifdef __aarch64__
#define PT_REGS_PARM1(ctx) ((ctx)->regs[0])
#define PT_REGS_PARM2(ctx) ((ctx)->regs[1])
#define PT_REGS_RET(ctx) ((ctx)->regs[30])
#define PT_REGS_RC(ctx) ((ctx)->regs[0])
#define PT_REGS_SP(ctx) ((ctx)->sp)
#else
#define PT_REGS_PARM1(ctx) ((ctx)->di)
#define PT_REGS_PARM2(ctx) ((ctx)->si)
#define PT_REGS_RET(ctx) ((ctx)->sp)
#define PT_REGS_RC(ctx) ((ctx)->ax)
#define PT_REGS_SP(ctx) ((ctx)->sp)
#endif

/* Constants of no particular kernel, chosen so that all code is compiled. */
#ifndef PAGE_SIZE
#define PAGE_SIZE 4096
#endif
#ifndef UM_EVENT_PAGES
#define UM_EVENT_PAGES 1024
#endif
#ifndef UM_NAME_PAGES
#define UM_NAME_PAGES 1024
#endif
#ifndef UM_MAX_TASKS
#define UM_MAX_TASKS 1024
#endif
#ifndef UM_HOST_MNTNS
#define UM_HOST_MNTNS 0
#endif
#ifndef UM_TASK_DEAD
#define UM_TASK_DEAD 128
#endif
#ifndef UM_OFF_MNT_NS_INUM
#define UM_OFF_MNT_NS_INUM 0
#endif
#ifndef UM_KNOWS_TASK_WORK
#define UM_KNOWS_TASK_WORK 1
#endif
#ifndef UM_FUNCTIONS
#define UM_FUNCTIONS 1
#endif
#ifndef UM_WITH_WALKERS
#define UM_WITH_WALKERS 1
#endif
#ifndef UM_SYSCALL_FUNCTION
#define UM_SYSCALL_FUNCTION 1
#endif
#ifndef UM_ENDS_BY_WORK
#define UM_ENDS_BY_WORK 1
#endif
#ifndef UM_NOTES
#define UM_NOTES 1
#endif
#ifndef UM_OFF_TASK_PID
#define UM_OFF_TASK_PID 16
#endif
#ifndef UM_OFF_TASK_STATE
#define UM_OFF_TASK_STATE 24
#endif
#ifndef UM_OFF_TASK_FLAGS
#define UM_OFF_TASK_FLAGS 32
#endif
#ifndef UM_BIT_TASK_IN_IOWAIT
#define UM_BIT_TASK_IN_IOWAIT 320
#endif
#ifndef UM_OFF_TASK_WORKS
#define UM_OFF_TASK_WORKS 48
#endif
#ifndef UM_OFF_TASK_SWITCHES
#define UM_OFF_TASK_SWITCHES 56
#endif
#ifndef UM_OFF_TASK_NSPROXY
#define UM_OFF_TASK_NSPROXY 72
#endif
#ifndef UM_OFF_NSPROXY_MNT_NS
#define UM_OFF_NSPROXY_MNT_NS 8
#endif
#ifndef UM_OFF_MNT_NS_MOUNTS
#define UM_OFF_MNT_NS_MOUNTS 96
#endif
#ifndef UM_OFF_TASK_STACK
#define UM_OFF_TASK_STACK 80
#endif
#ifndef UM_OFF_TASK_STATUS
#define UM_OFF_TASK_STATUS 8
#endif
#ifndef UM_OFF_MOUNT_MNT
#define UM_OFF_MOUNT_MNT 32
#endif
#ifndef UM_OFF_MOUNT_NS
#define UM_OFF_MOUNT_NS 224
#endif
#ifndef UM_OFF_MOUNT_ID
#define UM_OFF_MOUNT_ID 272
#endif
#ifndef UM_OFF_MOUNT_DEVNAME
#define UM_OFF_MOUNT_DEVNAME 120
#endif
#ifndef UM_OFF_VFSMOUNT_SB
#define UM_OFF_VFSMOUNT_SB 8
#endif
#ifndef UM_OFF_VFSMOUNT_FLAGS
#define UM_OFF_VFSMOUNT_FLAGS 16
#endif
#ifndef UM_OFF_SB_DEV
#define UM_OFF_SB_DEV 16
#endif
#ifndef UM_OFF_SB_TYPE
#define UM_OFF_SB_TYPE 40
#endif
#ifndef UM_OFF_SB_ACTIVE
#define UM_OFF_SB_ACTIVE 144
#endif
#ifndef UM_OFF_FSTYPE_NAME
#define UM_OFF_FSTYPE_NAME 0
#endif
#ifndef UM_OFF_PATH_MNT
#define UM_OFF_PATH_MNT 0
#endif
#ifndef UM_OFF_MOUNT_ID_UNIQUE
#define UM_OFF_MOUNT_ID_UNIQUE 280
#endif
#ifndef UM_OFF_MOUNT_RCU
#define UM_OFF_MOUNT_RCU 64
#endif
#ifndef UM_OFF_MOUNT_PARENT
#define UM_OFF_MOUNT_PARENT 16
#endif
#ifndef UM_OFF_MOUNT_MOUNTPOINT
#define UM_OFF_MOUNT_MOUNTPOINT 24
#endif
#ifndef UM_OFF_VFSMOUNT_ROOT
#define UM_OFF_VFSMOUNT_ROOT 0
#endif
#ifndef UM_OFF_DENTRY_PARENT
#define UM_OFF_DENTRY_PARENT 24
#endif
#ifndef UM_OFF_DENTRY_NAME
#define UM_OFF_DENTRY_NAME 40
#endif
#ifndef UM_ADDR_PER_CPU_OFFSET
#define UM_ADDR_PER_CPU_OFFSET 0xffffffff82000000ULL
#endif
#ifndef UM_CPUS
#define UM_CPUS 8
#endif
#ifndef UM_OFF_MOUNT_PCP
#define UM_OFF_MOUNT_PCP 80
#endif
#ifndef UM_OFF_PCP_GETS
#define UM_OFF_PCP_GETS 0
#endif
#ifndef UM_OFF_SB_MOUNTS
#define UM_OFF_SB_MOUNTS 200
#endif
#ifndef UM_OFF_MOUNT_INSTANCE
#define UM_OFF_MOUNT_INSTANCE 104
#endif
#ifndef UM_OFF_BDEV_DEV
#define UM_OFF_BDEV_DEV 0
#endif
#ifndef UM_CLAIM_ARGS
#define UM_CLAIM_ARGS 3
#endif
#ifndef UM_ADDR_UNMOUNTED
#define UM_ADDR_UNMOUNTED 0xffffffff82000100ULL
#endif
#ifndef UM_PATH_CALLS
#define UM_PATH_CALLS UM_WORD(0, 0ULL)
#endif
#ifndef UM_FN_UNLOCK
#define UM_FN_UNLOCK 0, 0
#endif
#ifndef UM_FN_RCU
#define UM_FN_RCU 0, 0
#endif
#ifndef UM_FN_RCU_NORMAL
#define UM_FN_RCU_NORMAL 0, 0
#endif
#ifndef UM_FN_RCU_NORMAL_PART
#define UM_FN_RCU_NORMAL_PART 0, 0
#endif
#ifndef UM_FN_WAIT_RCU_GP
#define UM_FN_WAIT_RCU_GP 0, 0
#endif
#ifndef UM_FN_FUNNEL
#define UM_FN_FUNNEL 0, 0
#endif
#ifndef UM_FN_MUTEX
#define UM_FN_MUTEX 0, 0
#endif
#ifndef UM_FN_DOWN_WRITE
#define UM_FN_DOWN_WRITE 0, 0
#endif
#ifndef UM_FN_RWSEM_SLOW
#define UM_FN_RWSEM_SLOW 0, 0
#endif
#ifndef UM_FN_RWBASE
#define UM_FN_RWBASE 0, 0
#endif
#ifndef UM_FN_PATH_UMOUNT
#define UM_FN_PATH_UMOUNT 0, 0
#endif
#ifndef UM_FN_PUT_NS
#define UM_FN_PUT_NS 0, 0
#endif
#ifndef UM_FN_EVICT
#define UM_FN_EVICT 0, 0
#endif
#ifndef UM_FN_SWITCH_NS
#define UM_FN_SWITCH_NS 0, 0
#endif
#ifndef UM_FN_FREE_NSPROXY
#define UM_FN_FREE_NSPROXY 0, 0
#endif
#ifndef UM_FN_MOUNTS_RELEASE
#define UM_FN_MOUNTS_RELEASE 0, 0
#endif
#ifndef UM_FN_DROP_COLLECTED
#define UM_FN_DROP_COLLECTED 0, 0
#endif
#ifndef UM_FN_DETACH_MOUNTS
#define UM_FN_DETACH_MOUNTS 0, 0
#endif
#ifndef UM_FN_EXPIRY
#define UM_FN_EXPIRY 0, 0
#endif
#ifndef UM_FN_DISSOLVE
#define UM_FN_DISSOLVE 0, 0
#endif
#ifndef UM_FN_PATH_MOUNT
#define UM_FN_PATH_MOUNT 0, 0
#endif
#ifndef UM_FN_MOUNT_SUBTREE
#define UM_FN_MOUNT_SUBTREE 0, 0
#endif
#ifndef UM_FN_GET_TREE
#define UM_FN_GET_TREE 0, 0
#endif
#ifndef UM_FN_COPY_TREE
#define UM_FN_COPY_TREE 0, 0
#endif
#ifndef UM_FN_ATTACH_RECURSIVE
#define UM_FN_ATTACH_RECURSIVE 0, 0
#endif
#ifndef UM_FN_LOOKUP
#define UM_FN_LOOKUP 0, 0
#endif
#ifndef UM_FN_TASK_WORK
#define UM_FN_TASK_WORK 0, 0
#endif
#ifndef UM_FN_CLEANUP
#define UM_FN_CLEANUP 0, 0
#endif
#ifndef UM_FN_LOOKUP_MNT
#define UM_FN_LOOKUP_MNT 0, 0
#endif
#ifndef UM_FN_CLEANUP_WORK
#define UM_FN_CLEANUP_WORK 0, 0
#endif
#ifndef UM_FN_ENTRY
#define UM_FN_ENTRY 0, 0
#endif

#endif
