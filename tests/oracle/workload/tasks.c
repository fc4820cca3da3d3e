/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of every kind that call umount(2), and mount namespaces that end. */
#define _GNU_SOURCE
#include "oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char *fresh(const char *name)
{
	char *path = directory(name);

	mount_tmpfs(path);
	return path;
}

static void gone(const char *path)
{
	UMOUNT(path, 0, 0, "tmpfs", "self", 1);
}

static void *of_thread(void *path)
{
	prctl(PR_SET_NAME, "not-the-leader");
	write_task(syscall(SYS_gettid));
	gone(path);
	return 0;
}

static void thread(void)
{
	pthread_t other;

	must(-pthread_create(&other, 0, of_thread, fresh("m")), "pthread_create");
	pthread_join(other, 0);
}

static void by_vfork(void)
{
	char *path = fresh("m");
	int status;
	pid_t pid = vfork();

	if (!pid) {
		gone(path);
		_exit(0);
	}
	must(pid, "vfork");
	write_task(pid);
	must(waitpid(pid, &status, 0), "wait");
}

/* An umount of which the parent writes the line. */
static void of_child(pid_t pid, struct call call, uint64_t begin)
{
	struct seen seen = {.pid = pid, .tid = pid, .comm = kind, .begin = begin};
	int status;

	write_task(pid);
	must(waitpid(pid, &status, 0), "wait");
	seen.end = seen.next = now();
	write_call(&call, &seen);
}

static void last_thing(void)
{
	struct call call = {fresh("m"), 0, 0, "tmpfs", "self", 1};
	uint64_t begin = now();
	pid_t pid = fork();

	must(pid, "fork");
	if (!pid) {
		syscall(SYS_umount2, call.path, 0);
		_exit(0);
	}
	of_child(pid, call, begin);
}

static int is_mounted(const char *path)
{
	static char text[1 << 20];
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	ssize_t length = 0, more;

	must(fd, "mountinfo");
	while ((more = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += more;
	text[length] = 0;
	close(fd);
	return !!strstr(text, path);
}

/* Killed once the mount is off: in the RCU wait, in the shutdown, or just after. */
static void killed(void)
{
	struct call call = {fresh("m"), 0, 0, "tmpfs", "self", 1};
	uint64_t begin = now();
	pid_t pid = fork();

	must(pid, "fork");
	if (!pid) {
		syscall(SYS_umount2, call.path, 0);
		for (;;)
			pause();
	}
	while (is_mounted(call.path))
		;
	must(kill(pid, SIGKILL), "kill");
	of_child(pid, call, begin);
}

#ifdef __x86_64__
static void of_32_bit(int number, int flags, const char *name)
{
	char *low, *path = fresh(name);
	uint64_t begin;
	int status;
	pid_t pid;

	low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	must(low == MAP_FAILED ? -1 : 0, "mmap");
	strcpy(low, path);
	begin = now();
	pid = fork();
	must(pid, "fork");
	if (!pid) {
		long result;

		asm volatile("int $0x80"
			     : "=a"(result)
			     : "a"(number), "b"(low), "c"(flags)
			     : "memory", "r8", "r9", "r10", "r11");
		_exit(result ? 1 : 0);
	}
	must(waitpid(pid, &status, 0), "wait");
	write_task(pid);
	if (status) {
		skip("no system calls of 32-bit programs", ENOSYS);
		must(umount2(path, 0), path);
	} else {
		struct seen seen = {pid, pid, kind, begin, now(), now(), 0};
		struct call call = {path, flags, 0, "tmpfs", "self", 1};

		write_call(&call, &seen);
	}
}

static void umount_32(void) { of_32_bit(52, 0, "m"); }
static void lazy_32(void) { of_32_bit(52, MNT_DETACH, "m"); }
static void oldumount_32(void) { of_32_bit(22, 0, "m"); }
#endif

const struct kind kinds_tasks[] = {
	{"thread", thread}, {"vfork", by_vfork}, {"last-thing", last_thing}, {"killed", killed},
#ifdef __x86_64__
	{"umount-32", umount_32}, {"lazy-32", lazy_32}, {"oldumount-32", oldumount_32},
#endif
	{0}};

/* ---- namespaces that end ---- */

static void ns_exit(void) { fresh("m"); }

static void ns_setns(void)
{
	int fd = namespace_of(getpid());
	uint64_t begin;

	own_namespace();
	fresh("m");
	begin = now();
	must(setns(fd, CLONE_NEWNS), "setns");
	write_teardown("ns-exit", 0, begin, now());
	close(fd);
}

static void ns_unshare(void)
{
	uint64_t begin;

	fresh("m");
	begin = now();
	must(unshare(CLONE_NEWNS), "unshare");
	write_teardown("ns-exit", 0, begin, now());
}

static void has_namespace(const char *path)
{
	own_namespace();
	mount_tmpfs(path);
	ready();
}

static void ns_close(void)
{
	struct child child = start("in-namespace", has_namespace, directory("m"));
	int fd = namespace_of(child.pid);
	uint64_t begin;

	finish(&child);
	begin = now();
	close(fd);
	write_teardown("ns-exit", 0, begin, now());
}

static void only_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/*
 * A namespace can be mounted in one with a smaller number only. Since 6.18 each CPU has numbers
 * of its own, so that one of the CPUs gives it a greater one.
 */
static void ns_umount(void)
{
	char source[64], *path = inside(place, "ns"), *m = directory("m");
	int cpu, refused = 1;
	uint64_t begin;

	make_file(path);
	for (cpu = 0; refused && cpu < CPU_SETSIZE; cpu++) {
		struct child child;

		only_on(cpu);
		child = start("in-namespace", has_namespace, m);
		sprintf(source, "/proc/%d/ns/mnt", child.pid);
		refused = mount(source, path, 0, MS_BIND, 0);
		begin = now();
		finish(&child);
		kind = "ns-umount-try";
		if (refused)
			write_teardown("ns-exit", child.pid, begin, now());
		kind = "ns-umount";
	}
	must(refused ? -1 : 0, "a bind mount of a namespace");
	begin = now();
	UMOUNT(path, 0, 0, "nsfs", "self", 1);
	write_teardown("ns-exit", 0, begin, now());
}

static void ns_of_others(void)
{
	char *path = directory("m");
	struct child child = start("in-namespace", has_namespace, path);
	int fd = namespace_of(child.pid);

	must(setns(fd, CLONE_NEWNS), "setns");
	close(fd);
	gone(path);
	finish(&child);
}

static void ns_by_descriptor(void)
{
	char text[4400], *path = directory("m");
	struct child child = start("in-namespace", has_namespace, path);
	uint64_t begin;
	int fd;

	snprintf(text, sizeof(text), "/proc/%d/root%s", child.pid, path);
	fd = open(text, O_PATH | O_CLOEXEC);
	must(fd, text);
	sprintf(text, "/proc/self/fd/%d", fd);
	UMOUNT(text, MNT_DETACH, EINVAL, "tmpfs");
	close(fd);
	begin = now();
	finish(&child);
	write_teardown("ns-exit", child.pid, begin, now());
}

static void ns_chroot(void)
{
	char *path = fresh("r"), *below = inside(path, "m");

	must(mkdir(below, 0755), below);
	mount_tmpfs(below);
	must(chroot(path), path);
	must(chdir("/"), "/");
	gone("/m");
}

static void ns_pivot(void)
{
	char *path = fresh("r"), *old = inside(path, "old");

	must(mkdir(old, 0755), old);
	must(syscall(SYS_pivot_root, path, old), "pivot_root");
	must(chdir("/"), "/");
	UMOUNT("/old", MNT_DETACH, 0);
}

static void ns_locked(void)
{
	char *path = fresh("m");

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) {
		skip("user namespaces", errno);
		own_namespace();
		return;
	}
	UMOUNT(path, 0, EINVAL, "tmpfs");
	UMOUNT(path, MNT_DETACH, EINVAL, "tmpfs");
}

const struct kind kinds_spaces[] = {
	{"ns-exit", ns_exit, FRESH}, {"ns-setns", ns_setns, 0}, {"ns-unshare", ns_unshare, FRESH},
	{"ns-close", ns_close, 0}, {"ns-umount", ns_umount, 0}, {"ns-of-others", ns_of_others, ENDS},
	{"ns-by-fd", ns_by_descriptor, 0}, {"ns-chroot", ns_chroot, FRESH},
	{"ns-pivot", ns_pivot, FRESH}, {"ns-locked", ns_locked, ENDS}, {0}};
