/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts on mounts, copies of mounts, and mounts that are taken down without umount(2). */
#define _GNU_SOURCE
#include "oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#define MOVE_MOUNT_EMPTY_F 4
#define RECURSIVE 0x8000 /* AT_RECURSIVE */

static char *fresh(const char *name)
{
	char *path = directory(name);

	mount_tmpfs(path);
	return path;
}

static void gone(const char *path, int flags, int mounts)
{
	UMOUNT(path, flags, 0, "tmpfs", "self", mounts);
}

static char *below(const char *path, const char *name)
{
	char *made = inside(path, name);

	must(mkdir(made, 0755), made);
	return made;
}

static void stacked(void)
{
	char *path = fresh("m");

	mount_tmpfs(path);
	mount_tmpfs(path);
	gone(path, 0, 1);
	gone(path, MNT_DETACH, 1);
	gone(path, 0, 1);
	UMOUNT(path, 0, EINVAL);
}

static void bind(void)
{
	char *from = fresh("m"), *to = directory("b");

	must(mount(from, to, 0, MS_BIND, 0), to);
	gone(to, 0, 1);
	gone(from, 0, 1);
}

static void bind_file(void)
{
	char *path = fresh("m"), *from = inside(path, "f"), *to = inside(place, "b");

	make_file(from);
	make_file(to);
	must(mount(from, to, 0, MS_BIND, 0), to);
	gone(to, 0, 1);
	gone(path, 0, 1);
}

static void lazy_tree(void)
{
	char *path = fresh("m"), *one = below(path, "1"), *two;

	mount_tmpfs(one);
	two = below(one, "2");
	mount_tmpfs(two);
	gone(path, MNT_DETACH, 3);
}

static void rbind_lazy(void)
{
	char *path = fresh("m"), *one = below(path, "1"), *to = directory("b");

	mount_tmpfs(one);
	must(mount(path, to, 0, MS_BIND | MS_REC, 0), to);
	gone(to, MNT_DETACH, 2);
	gone(one, 0, 1);
	gone(path, 0, 1);
}

static void moved(void)
{
	char *from = fresh("m"), *to = directory("b");

	must(mount(from, to, 0, MS_MOVE, 0), to);
	UMOUNT(from, 0, EINVAL);
	gone(to, 0, 1);
}

/* ---- propagation ---- */

static void copies(const char *path)
{
	(void)path;
	must(unshare(CLONE_NEWNS), "unshare");
	ready();
}

static void ends(struct child *child)
{
	uint64_t begin = now();
	pid_t pid = child->pid;

	finish(child);
	write_teardown("ns-exit", pid, begin, now());
}

static void shared(void)
{
	char *path = fresh("s"), *here;
	struct child child[3];
	int i;

	must(mount(0, path, 0, MS_SHARED, 0), path);
	for (i = 0; i < 3; i++)
		child[i] = start("in-copy", copies, path);
	here = below(path, "m");
	mount_tmpfs(here);
	gone(here, 0, 4);
	mount_tmpfs(here);
	gone(here, MNT_DETACH, 4);
	for (i = 0; i < 3; i++)
		ends(&child[i]);
}

/* Busy in a copy only: the namespace that has it open is another. */
static void copy_holds(const char *path)
{
	must(unshare(CLONE_NEWNS), "unshare");
	ready();
	must(open(path, O_RDONLY | O_CLOEXEC), path);
	ready();
}

static void shared_busy(void)
{
	char *path = fresh("s"), *here = below(path, "m");
	struct child child;

	must(mount(0, path, 0, MS_SHARED, 0), path);
	child = start("copy-holder", copy_holds, here);
	mount_tmpfs(here);
	step(&child);
	UMOUNT(here, 0, EBUSY, "tmpfs");
	ends(&child);
	gone(here, 0, 1);
}

static void as_slave(const char *path)
{
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount(0, path, 0, MS_SLAVE, 0), path);
	ready();
	UMOUNT(inside(path, "m"), 0, 0, "tmpfs", "self", 1);
	ready();
}

static void slave(void)
{
	char *path = fresh("s"), *here = below(path, "m");
	struct child child;

	must(mount(0, path, 0, MS_SHARED, 0), path);
	child = start("in-slave", as_slave, path);
	mount_tmpfs(here);
	gone(here, 0, 2);
	mount_tmpfs(here);
	step(&child);
	gone(here, 0, 1);
	ends(&child);
}

/* ---- without umount(2) ---- */

static void tree_closed(void)
{
	char *path = fresh("m"), *one = below(path, "1");
	uint64_t begin;
	int fd;

	mount_tmpfs(one);
	fd = syscall(SYS_open_tree, AT_FDCWD, path,
		     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | RECURSIVE);
	must(fd, "open_tree");
	begin = now();
	close(fd);
	write_teardown("fd-close", 0, begin, now());
	gone(path, MNT_DETACH, 2);
}

static void tree_moved(void)
{
	char *path = fresh("m"), *to = directory("b");
	int fd = syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	must(fd, "open_tree");
	must(syscall(SYS_move_mount, fd, "", AT_FDCWD, to, MOVE_MOUNT_EMPTY_F), "move_mount");
	close(fd);
	gone(to, 0, 1);
	gone(path, 0, 1);
}

/* A directory cannot be mounted on a file: the copy that was made for it is taken down. */
static void mount_fails(void)
{
	char *path = fresh("m"), *file = inside(place, "f");
	uint64_t begin;

	make_file(file);
	begin = now();
	must(mount(path, file, 0, MS_BIND, 0) ? 0 : -1, "a directory on a file");
	write_teardown("failed-mount", 0, begin, now());
	gone(path, 0, 1);
}

static void removes(const char *path)
{
	uint64_t begin;

	own_namespace();
	ready();
	begin = now();
	must(rmdir(path), path);
	write_teardown("detach-on-unlink", 0, begin, now());
	ready();
}

static void removed(void)
{
	char *path = directory("m");
	struct child child = start("removes-it", removes, path);

	mount_tmpfs(path);
	step(&child);
	UMOUNT(path, 0, ENOENT);
	ends(&child);
}

const struct kind kinds_trees[] = {
	{"stacked", stacked}, {"bind", bind}, {"bind-file", bind_file}, {"lazy-tree", lazy_tree},
	{"rbind-lazy", rbind_lazy}, {"moved", moved}, {"shared", shared},
	{"shared-busy", shared_busy}, {"slave", slave}, {"tree-closed", tree_closed},
	{"tree-moved", tree_moved}, {"mount-fails", mount_fails}, {"removed", removed}, {0}};
