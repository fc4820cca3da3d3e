/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a walker does in one pass: a system call that takes a path, or a few that take one and give
 * it back. For held-among-walkers.c.
 */
#ifndef WALKS_H
#define WALKS_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* x: a file with a byte; w: one of this walker; d: a directory; l: a link; p: this program */
struct room {
	char x[4096], w[4096], made[4096], link[4096], program[4096], mount[4096];
	int root, inotify, null;
};

static char page[4096];

static void close_good(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void w_stat(struct room *in) { struct stat found; stat(in->x, &found); }
static void w_rename(struct room *in) { rename(in->w, in->w); }
static void w_access(struct room *in) { access(in->x, R_OK); }
static void w_readlink(struct room *in) { (void)!readlink(in->link, page, sizeof(page)); }
static void w_statfs(struct room *in) { struct statfs found; statfs(in->x, &found); }
static void w_xattr(struct room *in) { getxattr(in->x, "user.none", page, sizeof(page)); }
static void w_mkdir(struct room *in) { mkdir(in->made, 0700); rmdir(in->made); }
static void w_open(struct room *in) { close_good(open(in->x, O_RDONLY)); }
static void w_path(struct room *in) { close_good(open(in->x, O_PATH)); }

static void w_inotify(struct room *in)
{
	inotify_rm_watch(in->inotify, inotify_add_watch(in->inotify, in->x, IN_OPEN));
}

static void w_create(struct room *in)
{
	int fd = open(in->made, O_CREAT | O_WRONLY, 0600);

	if (fd >= 0) {
		(void)!write(fd, "x", 1);
		close(fd);
		unlink(in->made);
	}
}

static void w_read(struct room *in)
{
	int fd = open(in->x, O_RDONLY);

	if (fd >= 0) {
		(void)!read(fd, page, sizeof(page));
		close(fd);
	}
}

static void w_mmap(struct room *in)
{
	int fd = open(in->x, O_RDONLY);
	void *map;

	if (fd < 0)
		return;
	map = mmap(0, sizeof(page), PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map != MAP_FAILED)
		munmap(map, sizeof(page));
}

static void w_splice(struct room *in)
{
	int fd = open(in->x, O_RDONLY), pipes[2];

	if (fd < 0)
		return;
	if (!pipe(pipes)) {
		splice(fd, 0, pipes[1], 0, 1, 0);
		close(pipes[0]);
		close(pipes[1]);
	}
	close(fd);
}

static void w_getdents(struct room *in)
{
	int fd = open(in->mount, O_RDONLY | O_DIRECTORY);

	if (fd >= 0) {
		syscall(SYS_getdents64, fd, page, sizeof(page));
		close(fd);
	}
}

static void w_chdir(struct room *in)
{
	if (!chdir(in->mount))
		(void)!fchdir(in->root);
}

static void w_bind(struct room *in)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%.100s", in->made);
	if (!bind(fd, (struct sockaddr *)&at, sizeof(at)))
		unlink(in->made);
	close(fd);
}

/* The parent closes what it has opened, and the child closes it last. */
static void w_fork(struct room *in)
{
	int fd = open(in->x, O_RDONLY);
	pid_t child = fd < 0 ? -1 : fork();

	if (!child)
		_exit(0);
	close_good(fd);
	if (child > 0)
		waitpid(child, 0, 0);
}

/* Starts a program of this mount, which ends at once. */
static void w_exec(struct room *in)
{
	pid_t child = vfork();

	if (!child) {
		execl(in->program, in->program, (char *)0);
		_exit(0);
	}
	waitpid(child, 0, 0);
}

static void w_rest(struct room *in)
{
	(void)in;
	usleep(1000);
}

static const struct walk {
	const char *name;
	void (*once)(struct room *in);
} walks[] = {
	{"stat", w_stat},	{"rename", w_rename},	  {"access", w_access},	  {"readlink", w_readlink},
	{"statfs", w_statfs},	{"xattr", w_xattr},	  {"mkdir", w_mkdir},	  {"inotify", w_inotify},
	{"open", w_open},	{"opath", w_path},	  {"create", w_create},	  {"read", w_read},
	{"mmap", w_mmap},	{"splice", w_splice},	  {"getdents", w_getdents}, {"chdir", w_chdir},
	{"bind", w_bind},	{"fork", w_fork},	  {"exec", w_exec},	  {"rest", w_rest},
	{0, 0},
};

/* The walk of this name; 0 if there is none. */
static const struct walk *walk_of(const char *name)
{
	const struct walk *walk;

	for (walk = walks; walk->name; walk++)
		if (!strcmp(walk->name, name))
			return walk;
	return 0;
}

static void enter(struct room *in, const char *path, int number)
{
	snprintf(in->x, sizeof(in->x), "%s/x", path);
	snprintf(in->w, sizeof(in->w), "%s/w%d", path, number);
	snprintf(in->made, sizeof(in->made), "%s/m%d", path, number);
	snprintf(in->link, sizeof(in->link), "%s/l", path);
	snprintf(in->program, sizeof(in->program), "%s/p", path);
	snprintf(in->mount, sizeof(in->mount), "%s/.", path);
	in->root = open("/", O_RDONLY | O_DIRECTORY);
	in->inotify = inotify_init();
}

#endif
