/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Every constant that the loader gives with -D (umtrace/sources/bpf/, umtrace/probes/constants.py).
 * Offsets are in bytes, from BTF. The required ones come first; code that needs an optional one
 * that is missing is compiled out, and the probe plan says what is lost.
 */
#ifndef UMTRACE_CONFIG_H
#define UMTRACE_CONFIG_H

/* An editor or a plain C compiler has neither these constants nor bcc. */
#ifndef BPF_HASH
#include "editor.h"
#endif

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#ifndef UM_EVENT_PAGES /* pages of the event ring */
#error "UM_EVENT_PAGES is missing: pages of the event ring"
#endif
#ifndef UM_NAME_PAGES /* pages of the name ring */
#error "UM_NAME_PAGES is missing: pages of the name ring"
#endif
#ifndef UM_MAX_TASKS /* operations followed at the same time */
#error "UM_MAX_TASKS is missing: operations followed at the same time"
#endif
#ifndef UM_HOST_MNTNS /* inode number of the host's mount namespace, 0 unknown */
#error "UM_HOST_MNTNS is missing: inode number of the host's mount namespace, 0 unknown"
#endif
#ifndef UM_TASK_DEAD /* TASK_DEAD, of a task that has exited */
#error "UM_TASK_DEAD is missing: TASK_DEAD, of a task that has exited"
#endif
#ifndef UM_OFF_MNT_NS_INUM /* mnt_namespace.ns.inum, 0 unknown */
#error "UM_OFF_MNT_NS_INUM is missing: mnt_namespace.ns.inum, 0 unknown"
#endif
#ifndef UM_KNOWS_TASK_WORK /* 1 where the address of task_work_run is known, else 0 */
#error "UM_KNOWS_TASK_WORK is missing: 1 where the address of task_work_run is known, else 0"
#endif

/* Functions that may lie on a stack: "address, length", 0, 0 where unknown. */
#ifndef UM_FN_UNLOCK
#error "UM_FN_UNLOCK is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_RCU
#error "UM_FN_RCU is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_RCU_NORMAL
#error "UM_FN_RCU_NORMAL is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_RCU_NORMAL_PART
#error "UM_FN_RCU_NORMAL_PART is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_WAIT_RCU_GP
#error "UM_FN_WAIT_RCU_GP is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_FUNNEL
#error "UM_FN_FUNNEL is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_MUTEX
#error "UM_FN_MUTEX is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_DOWN_WRITE
#error "UM_FN_DOWN_WRITE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_RWSEM_SLOW
#error "UM_FN_RWSEM_SLOW is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_RWBASE
#error "UM_FN_RWBASE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_PATH_UMOUNT
#error "UM_FN_PATH_UMOUNT is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_PUT_NS
#error "UM_FN_PUT_NS is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_EVICT
#error "UM_FN_EVICT is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_SWITCH_NS
#error "UM_FN_SWITCH_NS is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_FREE_NSPROXY
#error "UM_FN_FREE_NSPROXY is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_MOUNTS_RELEASE
#error "UM_FN_MOUNTS_RELEASE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_DROP_COLLECTED
#error "UM_FN_DROP_COLLECTED is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_DETACH_MOUNTS
#error "UM_FN_DETACH_MOUNTS is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_EXPIRY
#error "UM_FN_EXPIRY is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_DISSOLVE
#error "UM_FN_DISSOLVE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_PATH_MOUNT
#error "UM_FN_PATH_MOUNT is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_MOUNT_SUBTREE
#error "UM_FN_MOUNT_SUBTREE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_GET_TREE
#error "UM_FN_GET_TREE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_COPY_TREE
#error "UM_FN_COPY_TREE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_ATTACH_RECURSIVE
#error "UM_FN_ATTACH_RECURSIVE is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_LOOKUP
#error "UM_FN_LOOKUP is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_TASK_WORK
#error "UM_FN_TASK_WORK is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_CLEANUP
#error "UM_FN_CLEANUP is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_LOOKUP_MNT
#error "UM_FN_LOOKUP_MNT is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_CLEANUP_WORK
#error "UM_FN_CLEANUP_WORK is missing (umtrace/probes/stacks.py)"
#endif
#ifndef UM_FN_ENTRY /* all entries into the kernel */
#error "UM_FN_ENTRY is missing (umtrace/probes/stacks.py)"
#endif

/*
 * Optional.
 *
 * Which programs, and how they are attached:
 *   UM_FUNCTIONS             with the function probes
 *   UM_LIGHT                 those of --probes light
 *   UM_FENTRY                they are fentry and fexit, else kprobe and kretprobe
 *   UM_FENTRY_WALKS          hot returns are fexit, the rest is kprobes
 *   UM_WITH_WALKERS          with the probes on path walks, and on files that are opened and closed
 *   UM_SYSCALL_FUNCTION      umount(2) is probed at its own function
 *   UM_LOCK_WAITS            the wait for a semaphore is probed
 *   UM_SPREAD                propagate_umount is probed
 *   UM_DISSOLVE_PUTS         dissolve_on_fput puts the mount, and mntput is not called for it
 *   UM_DISSOLVE_UNKNOWN      whether it does is not known
 *   UM_PUTS_HIDDEN           it does, or may, and is not probed
 *   UM_ENDS_BY_WORK          a task's list of work says where an umount ends
 *   UM_NOTES                 nothing but the functions of an operation sends its events
 *
 * struct task_struct, or where sched_switch has the same:
 *   UM_OFF_TASK_PID          task_struct.pid
 *   UM_OFF_TASK_STATE        task_struct.__state
 *   UM_AT_PREV_PID           sched_switch: prev_pid
 *   UM_AT_PREV_STATE         sched_switch: prev_state
 *   UM_AT_NEXT_PID           sched_switch: next_pid
 *   UM_AT_CGROUP_ROOT        cgroup_mkdir: root
 *   UM_AT_CGROUP_ID          cgroup_mkdir: id
 *   UM_AT_CGROUP_PATH        cgroup_mkdir: path
 *   UM_OFF_TASK_FLAGS        task_struct.flags
 *   UM_BIT_TASK_IN_IOWAIT    task_struct.in_iowait, in bits
 *   UM_OFF_TASK_WORKS        task_struct.task_works
 *   UM_OFF_TASK_SWITCHES     task_struct.nvcsw, with nivcsw behind it
 *   UM_OFF_TASK_NSPROXY      task_struct.nsproxy
 *   UM_OFF_NSPROXY_MNT_NS    nsproxy.mnt_ns
 *   UM_OFF_MNT_NS_MOUNTS     mnt_namespace.nr_mounts
 *   UM_OFF_TASK_STACK        task_struct.stack
 *   UM_OFF_TASK_STATUS       task_struct.thread_info.status
 *
 * How words are read:
 *   UM_WORD_TYPE             BTF id of a struct that begins with a 64-bit number, for plain loads
 *   UM_NUMBERED              addresses are numbers until a program is loaded
 *   UM_BPF_LOOP              long loops are calls of bpf_loop()
 *
 * Grace periods, and namespace_sem:
 *   UM_ADDR_RCU_STATE        address of rcu_state
 *   UM_OFF_RCU_EXPEDITED     rcu_state.expedited_sequence
 *   UM_OFF_RCU_NORMAL        rcu_state.gp_seq
 *   UM_ADDR_NAMESPACE_SEM    address of fs/namespace.c: namespace_sem
 *   UM_OFF_SEM_OWNER         rw_semaphore.owner, or that of its rtmutex
 *   UM_SEM_IS_RT             it is that of its rtmutex
 *   UM_OFF_TASK_COMM         task_struct.comm
 *
 * struct mount and what hangs on it: all of the first group, or none:
 *   UM_OFF_MOUNT_MNT         mount.mnt
 *   UM_OFF_MOUNT_NS          mount.mnt_ns
 *   UM_OFF_MOUNT_ID          mount.mnt_id
 *   UM_OFF_MOUNT_DEVNAME     mount.mnt_devname
 *   UM_OFF_VFSMOUNT_SB       vfsmount.mnt_sb
 *   UM_OFF_VFSMOUNT_FLAGS    vfsmount.mnt_flags
 *   UM_OFF_SB_DEV            super_block.s_dev
 *   UM_OFF_SB_TYPE           super_block.s_type
 *   UM_OFF_SB_ACTIVE         super_block.s_active
 *   UM_OFF_FSTYPE_NAME       file_system_type.name
 *   UM_OFF_PATH_MNT          path.mnt
 *   UM_OFF_MOUNT_ID_UNIQUE   mount.mnt_id_unique
 *   UM_OFF_MOUNT_RCU         mount.mnt_rcu
 *
 * Where a mount is attached: all of them, or none:
 *   UM_OFF_MOUNT_PARENT      mount.mnt_parent
 *   UM_OFF_MOUNT_MOUNTPOINT  mount.mnt_mountpoint
 *   UM_OFF_VFSMOUNT_ROOT     vfsmount.mnt_root
 *   UM_OFF_DENTRY_PARENT     dentry.d_parent
 *   UM_OFF_DENTRY_NAME       dentry.d_name.name
 *
 * More of a busy mount:
 *   UM_ADDR_PER_CPU_OFFSET   address of __per_cpu_offset
 *   UM_CPUS                  possible CPUs, up to which references are counted
 *   UM_OFF_MOUNT_UMOUNT      mount.mnt_umount
 *   UM_OFF_MOUNT_LIST        mount.mnt_list
 *   UM_OFF_MOUNT_PCP         mount.mnt_pcp
 *   UM_OFF_PCP_GETS          mnt_pcp.mnt_count, or mnt_gets
 *   UM_OFF_PCP_PUTS          mnt_pcp.mnt_puts
 *   UM_OFF_SB_MOUNTS         super_block.s_mounts
 *   UM_OFF_MOUNT_INSTANCE    mount.mnt_instance, until 6.17
 *   UM_OFF_MOUNT_NEXT_FOR_SB mount.mnt_next_for_sb, since then
 *   UM_OFF_BDEV_DEV          block_device.bd_dev
 *   UM_CLAIM_ARGS            arguments of bd_prepare_to_claim
 *   UM_OFF_FILE_MNT          file.f_path.mnt
 *   UM_OFF_FS_PWD_MNT        fs_struct.pwd.mnt
 *   UM_OFF_FS_USERS          fs_struct.users
 *   UM_OFF_TASK_PARENT       task_struct.real_parent
 *   UM_OFF_TASK_TGID         task_struct.tgid
 *   UM_OFF_TASK_EXECS        task_struct.self_exec_id
 *   UM_OFF_TASK_EXECS_BEFORE task_struct.parent_exec_id
 *   UM_OFF_TASK_FS           task_struct.fs
 *   UM_OFF_TASK_FILES        task_struct.files
 *   UM_OFF_TASK_LEADER       task_struct.group_leader
 *   UM_OFF_TASK_MM           task_struct.mm
 *   UM_OFF_FILES_TABLE       files_struct.fdt
 *   UM_OFF_TABLE_MAX         fdtable.max_fds
 *   UM_OFF_TABLE_FD          fdtable.fd
 *   UM_OFF_TABLE_OPEN        fdtable.open_fds
 *   UM_OFF_FS_ROOT_MNT       fs_struct.root.mnt
 *   UM_OFF_MM_EXE            mm_struct.exe_file
 *   UM_ADDR_UNMOUNTED        address of fs/namespace.c: unmounted
 *   UM_PATH_CALLS            which system calls take a path: UM_WORD(number, bits) each
 */

#endif
