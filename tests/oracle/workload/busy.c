/* SPDX-License-Identifier: Apache-2.0 */
/* What keeps a mount busy, and mounts of other kinds than tmpfs. */
#define _GNU_SOURCE
#include "oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *fresh(const char *name)
{
	char *path = directory(name);

	mount_tmpfs(path);
	return path;
}

static void refused(const char *path) { UMOUNT(path, 0, EBUSY, "tmpfs"); }
static void gone(const char *path) { UMOUNT(path, 0, 0, "tmpfs", "self", 1); }

static void by_file(void)
{
	char *path = fresh("m");
	int fd = open(inside(path, "f"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

	must(fd, "open");
	refused(path);
	UMOUNT(path, MNT_EXPIRE, EBUSY, "tmpfs");
	close(fd);
	gone(path);
}

static void by_cwd(void)
{
	char *path = fresh("m");

	must(chdir(path), path);
	refused(path);
	UMOUNT(".", 0, EBUSY, "tmpfs");
	must(chdir("/"), "/");
	gone(path);
}

static void in_chroot(const char *path)
{
	must(chroot(path), path);
	ready();
}

static void by_root(void)
{
	char *path = fresh("m");
	struct child child = start("in-chroot", in_chroot, path);

	refused(path);
	finish(&child);
	gone(path);
}

static void copy(const char *from, const char *to)
{
	static char buffer[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ssize_t count;

	must(in, from);
	must(out, to);
	while ((count = read(in, buffer, sizeof(buffer))) > 0)
		must(write(out, buffer, count), to);
	close(in);
	close(out);
}

static void executes(const char *path)
{
	/* ready() is what the parent waits for: the pipe closes when the new program begins. */
	execl(path, "holder", "pause", (char *)0);
	must(-1, path);
}

static void by_program(void)
{
	char *path = fresh("m"), *program = inside(path, "holder");
	int up[2], status;
	char byte;
	pid_t pid;

	copy("/proc/self/exe", program);
	must(pipe2(up, O_CLOEXEC), "pipe");
	pid = fork();
	must(pid, "fork");
	if (!pid)
		executes(program);
	write_task(pid);
	close(up[1]);
	must(read(up[0], &byte, 1), "exec"); /* returns 0 once it has the file */
	refused(path);
	must(kill(pid, SIGKILL), "kill");
	must(waitpid(pid, &status, 0), "wait");
	gone(path);
}

static void by_mapping(void)
{
	char *path = fresh("m");
	int fd = open(inside(path, "f"), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	void *map;

	must(fd, "open");
	must(ftruncate(fd, 4096), "ftruncate");
	map = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	must(map == MAP_FAILED ? -1 : 0, "mmap");
	close(fd);
	refused(path);
	must(munmap(map, 4096), "munmap");
	gone(path);
}

static void by_mount(void)
{
	char *path = fresh("m"), *below = inside(path, "below");

	must(mkdir(below, 0755), below);
	mount_tmpfs(below);
	refused(path);
	gone(below);
	gone(path);
}

static void holds(const char *path)
{
	must(open(path, O_RDONLY | O_CLOEXEC), path);
	ready();
}

static void lazy_held(void)
{
	char *path = fresh("m");
	struct child child = start("lazy-holder", holds, path);

	UMOUNT(path, MNT_DETACH, 0, "tmpfs", "other", 1);
	finish(&child);
}

const struct kind kinds_busy[] = {
	{"by-file", by_file}, {"by-cwd", by_cwd}, {"by-root", by_root}, {"by-program", by_program},
	{"by-mapping", by_mapping}, {"by-mount", by_mount}, {"lazy-held", lazy_held}, {0}};

/* ---- other kinds of file systems ---- */

static void of_type(const char *type)
{
	char *path = directory("m");

	if (mount("oracle", path, type, 0, 0)) {
		skip("mount", errno);
		return;
	}
	UMOUNT(path, 0, 0, type, "self", 1);
}

static void ramfs(void) { of_type("ramfs"); }
static void proc(void) { of_type("proc"); }
static void sysfs(void) { of_type("sysfs"); }
static void devpts(void) { of_type("devpts"); }
static void mqueue(void) { of_type("mqueue"); }
static void cgroup2(void) { of_type("cgroup2"); }
static void binfmt_misc(void) { of_type("binfmt_misc"); }
static void securityfs(void) { of_type("securityfs"); }

static void overlay(void)
{
	char *path = directory("m"), *options;

	directory("lower");
	directory("upper");
	directory("work");
	must(asprintf(&options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", place, place,
		      place),
	     "asprintf");
	if (mount("oracle", path, "overlay", 0, options)) {
		skip("mount", errno);
		return;
	}
	make_file(inside(path, "f"));
	UMOUNT(path, 0, 0, "overlay", "self", 1);
}

static int loop_device(char *name)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing, number, fd;

	backing = open(image, O_RDWR | O_CLOEXEC);
	number = control < 0 || backing < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	if (number < 0)
		return -1;
	sprintf(name, "/dev/loop%d", number);
	fd = open(name, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_SET_FD, backing))
		return -1;
	close(control);
	close(backing);
	return fd;
}

/* On a disk, with data that the umount has to write. */
static void dirty(void)
{
	static char data[1 << 20];
	char name[32], *path = directory("m");
	int fd = *image ? loop_device(name) : (errno = ENOENT, -1), file, i;

	if (fd < 0 || mount(name, path, "ext4", 0, 0)) {
		skip("ext4 on a loop device", errno);
		if (fd >= 0)
			ioctl(fd, LOOP_CLR_FD);
		return;
	}
	file = open(inside(path, "data"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(file, "open");
	memset(data, 'd', sizeof(data));
	for (i = 0; i < 4; i++)
		must(write(file, data, sizeof(data)), "write");
	close(file);
	UMOUNT(path, 0, 0, "ext4", "self", 1);
	ioctl(fd, LOOP_CLR_FD);
	close(fd);
}

static void many_files(void)
{
	char name[32], *path = fresh("m");
	int i, folder;

	must(chdir(path), path);
	for (i = 0; i < files; i++) {
		if (i % 1000 == 0) {
			sprintf(name, "../m/%d", i / 1000);
			must(mkdir(name, 0755), name);
			must(chdir(name), name);
		}
		sprintf(name, "f%d", i);
		folder = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		must(folder, name);
		close(folder);
		if (i % 1000 == 999)
			must(chdir(path), path);
	}
	must(chdir("/"), "/");
	gone(path);
}

const struct kind kinds_types[] = {
	{"ramfs", ramfs}, {"proc", proc}, {"sysfs", sysfs}, {"devpts", devpts}, {"mqueue", mqueue},
	{"cgroup2", cgroup2}, {"binfmt_misc", binfmt_misc}, {"securityfs", securityfs},
	{"overlay", overlay}, {"dirty", dirty}, {"many-files", many_files}, {0}};
