/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger, and what the kinds share. */
#define _GNU_SOURCE
#include "oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

const char *kind, *place;
extern int ledger;

uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void put(const char *line, int length)
{
	if (write(ledger, line, length) != length)
		_exit(70);
}

static void hex(char *out, const char *text)
{
	for (; text && *text; text++)
		out += sprintf(out, "%02x", (unsigned char)*text);
	*out = 0;
}

void write_call(const struct call *call, const struct seen *seen)
{
	static char path[3 * 8192], comm[64], line[4 * 8192];
	const char *known = call->path == (char *)1 ? 0 : call->path;

	hex(path, known);
	hex(comm, seen->comm);
	put(line, sprintf(line,
			  "{\"what\":\"umount\",\"kind\":\"%s\",\"path\":%s%s%s,\"flags\":%d,"
			  "\"errno\":%d,\"expected\":%d,\"pid\":%d,\"tid\":%d,\"comm\":\"%s\","
			  "\"begin\":%llu,\"end\":%llu,\"next\":%llu,\"fstype\":\"%s\","
			  "\"final_put\":\"%s\",\"n_mounts\":%d}\n",
			  kind, known ? "\"" : "", known ? path : "null", known ? "\"" : "",
			  call->flags, seen->error, call->expected, seen->pid, seen->tid, comm,
			  (unsigned long long)seen->begin, (unsigned long long)seen->end,
			  (unsigned long long)seen->next, call->fstype ?: "", call->final ?: "",
			  call->mounts));
}

int call_umount(struct call call)
{
	char comm[16] = "";
	struct seen seen = {.pid = getpid(), .tid = syscall(SYS_gettid), .comm = comm};
	long result;

	prctl(PR_GET_NAME, comm);
	seen.begin = now();
	result = syscall(SYS_umount2, call.path, (long)call.flags);
	seen.error = result ? errno : 0;
	seen.end = now();
	syscall(SYS_getppid); /* what a tier without function probes takes for the end */
	seen.next = now();
	write_call(&call, &seen);
	return -seen.error;
}

void write_teardown(const char *origin, pid_t tid, uint64_t begin, uint64_t end)
{
	char line[512];
	uint64_t next = end;

	if (!tid) { /* as after an umount: the next system call is what bounds it */
		syscall(SYS_getppid);
		next = now();
	}
	put(line, sprintf(line,
			  "{\"what\":\"teardown\",\"kind\":\"%s\",\"origin\":\"%s\",\"tid\":%d,"
			  "\"begin\":%llu,\"end\":%llu,\"next\":%llu}\n",
			  kind, origin, tid ? tid : (pid_t)syscall(SYS_gettid),
			  (unsigned long long)begin, (unsigned long long)end,
			  (unsigned long long)next));
}

void write_task(pid_t tid)
{
	char line[128];

	put(line, sprintf(line, "{\"what\":\"task\",\"kind\":\"%s\",\"tid\":%d}\n", kind, tid));
}

void skip(const char *why, int error)
{
	char line[512];

	put(line, sprintf(line, "{\"what\":\"skip\",\"kind\":\"%s\",\"why\":\"%s: %s\"}\n", kind, why,
			  strerror(error)));
}

void must(long result, const char *what)
{
	if (result >= 0)
		return;
	fprintf(stderr, "oracle: %s: %s: %s\n", kind, what, strerror(errno));
	_exit(71);
}

char *inside(const char *folder, const char *name)
{
	char *path;

	must(asprintf(&path, "%s/%s", folder, name), "asprintf");
	return path;
}

char *directory(const char *name)
{
	char *path = inside(place, name);

	must(mkdir(path, 0755), path);
	return path;
}

void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	must(fd, path);
	close(fd);
}

void mount_tmpfs(const char *path)
{
	must(mount("oracle", path, "tmpfs", 0, 0), path);
}

void make_private(const char *path)
{
	must(mount(0, path, 0, MS_REC | MS_PRIVATE, 0), "private");
}

void own_namespace(void)
{
	must(unshare(CLONE_NEWNS), "unshare");
	make_private("/");
}

int namespace_of(pid_t pid)
{
	char path[64];
	int fd;

	sprintf(path, "/proc/%d/ns/mnt", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd, path);
	return fd;
}

/* ---- children ---- */

static int from_parent, to_parent;

struct child start(const char *name, void (*run)(const char *), const char *path)
{
	int down[2], up[2];
	struct child child;
	char byte;

	must(pipe2(down, O_CLOEXEC), "pipe");
	must(pipe2(up, O_CLOEXEC), "pipe");
	child.pid = fork();
	must(child.pid, "fork");
	if (!child.pid) {
		close(down[1]);
		close(up[0]);
		from_parent = down[0];
		to_parent = up[1];
		prctl(PR_SET_NAME, name);
		run(path);
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	write_task(child.pid);
	child.to = down[1];
	child.from = up[0];
	if (read(child.from, &byte, 1) != 1)
		_exit(72);
	return child;
}

void ready(void)
{
	char byte = 0;

	if (write(to_parent, &byte, 1) != 1 || read(from_parent, &byte, 1) != 1)
		_exit(0);
}

void step(struct child *child)
{
	char byte = 0;

	if (write(child->to, &byte, 1) != 1 || read(child->from, &byte, 1) != 1)
		_exit(73);
}

void finish(struct child *child)
{
	int status;
	char byte = 0;

	/* Not the end of the pipe: later children have a copy of it. */
	must(write(child->to, &byte, 1), "pipe");
	close(child->to);
	must(waitpid(child->pid, &status, 0), "wait");
	close(child->from);
}
