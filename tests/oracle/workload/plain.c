/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to call umount(2), what it refuses, and how its path may be spelled. */
#define _GNU_SOURCE
#include "oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *fresh(const char *name)
{
	char *path = directory(name);

	mount_tmpfs(path);
	return path;
}

static void gone(const char *path, int flags)
{
	UMOUNT(path, flags, 0, "tmpfs", "self", 1);
}

static void plain(void) { gone(fresh("m"), 0); }
static void lazy(void) { gone(fresh("m"), MNT_DETACH); }
static void force(void) { gone(fresh("m"), MNT_FORCE); }
static void lazy_force(void) { gone(fresh("m"), MNT_FORCE | MNT_DETACH); }

static void expire(void)
{
	char *path = fresh("m");

	UMOUNT(path, MNT_EXPIRE, EAGAIN, "tmpfs");
	gone(path, MNT_EXPIRE);
}

static void expire_used(void)
{
	char *path = fresh("m");

	UMOUNT(path, MNT_EXPIRE, EAGAIN, "tmpfs");
	must(access(inside(path, "."), F_OK), path); /* takes the mark away */
	UMOUNT(path, MNT_EXPIRE, EAGAIN, "tmpfs");
	gone(path, 0);
}

static void bad_flags(void)
{
	char *path = fresh("m");

	UMOUNT(path, 0x80, EINVAL);
	UMOUNT(path, -1, EINVAL);
	UMOUNT(path, MNT_EXPIRE | MNT_DETACH, EINVAL);
	gone(path, 0);
}

const struct kind kinds_plain[] = {
	{"plain", plain}, {"lazy", lazy}, {"force", force}, {"lazy-force", lazy_force},
	{"expire", expire}, {"expire-used", expire_used}, {"bad-flags", bad_flags}, {0}};

/* ---- what is refused ---- */

static void enoent(void) { UMOUNT(inside(place, "nothing"), 0, ENOENT); }
static void empty(void) { UMOUNT("", 0, ENOENT); }
static void not_a_mount(void) { UMOUNT(directory("d"), 0, EINVAL); }
static void not_a_mount_lazy(void) { UMOUNT(directory("d"), MNT_DETACH, EINVAL); }
static void efault(void) { UMOUNT((char *)1, 0, EFAULT); }

static void not_the_root(void)
{
	char *path = fresh("m"), *below = inside(path, "below");

	must(mkdir(below, 0755), below);
	UMOUNT(below, 0, EINVAL, "tmpfs");
	gone(path, 0);
}

static void relative_not_a_mount(void)
{
	directory("d");
	must(chdir(place), place);
	UMOUNT("d", 0, EINVAL);
}

static void a_file(void)
{
	char *path = inside(place, "f");

	make_file(path);
	UMOUNT(path, 0, EINVAL);
	UMOUNT(inside(path, "x"), 0, ENOTDIR);
}

static void a_loop(void)
{
	char *path = inside(place, "loop");

	must(symlink("loop", path), path);
	UMOUNT(path, 0, ELOOP);
}

static void too_long(void)
{
	static char path[4200], name[400];

	memset(path, '/', sizeof(path) - 1);
	UMOUNT(path, 0, ENAMETOOLONG);
	memset(name, 'n', sizeof(name) - 1);
	UMOUNT(inside(place, name), 0, ENAMETOOLONG);
}

static void drop_sys_admin(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[2];

	must(syscall(SYS_capget, &head, caps), "capget");
	caps[0].effective &= ~(1u << CAP_SYS_ADMIN);
	must(syscall(SYS_capset, &head, caps), "capset");
}

static void eperm(void)
{
	char *path = fresh("m");

	drop_sys_admin();
	UMOUNT(path, 0, EPERM);
	UMOUNT(path, MNT_DETACH, EPERM);
}

static void nofollow(void)
{
	char *path = fresh("m"), *link = inside(place, "link");

	must(symlink(path, link), link);
	UMOUNT(link, UMOUNT_NOFOLLOW, EINVAL);
	gone(path, UMOUNT_NOFOLLOW);
}

const struct kind kinds_errors[] = {
	{"enoent", enoent}, {"empty", empty}, {"not-a-mount", not_a_mount},
	{"not-mount-lazy", not_a_mount_lazy}, {"not-the-root", not_the_root},
	{"relative-no", relative_not_a_mount}, {"file", a_file}, {"eloop", a_loop},
	{"too-long", too_long}, {"efault", efault}, {"eperm", eperm}, {"nofollow", nofollow}, {0}};

/* ---- spellings ---- */

static void named(const char *name) { gone(fresh(name), 0); }
static void blank(void) { named("with a blank"); }
static void newline(void) { named("two\nlines\tand \\ \"quotes\""); }
static void utf8(void) { named("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x97\x84"); }
static void bytes(void) { named("\xff\xfe raw \x80"); }
static void controls(void) { named("\x1b[31mred\x7f\x01"); }

static void link_to(void)
{
	char *path = fresh("m"), *link = inside(place, "link");

	must(symlink(path, link), link);
	gone(link, 0);
}

static void relative(void)
{
	fresh("m");
	must(chdir(place), place);
	gone("m", 0);
}

static void slash(void) { gone(inside(fresh("m"), ""), 0); }

static void dots(void)
{
	fresh("m");
	directory("x");
	gone(inside(place, "x/../m/./"), 0);
}

/* As long as the tiers keep whole, and as long as a path may be. */
static void lengths(void)
{
	static const unsigned wanted[] = {200, 231, 232, 233, 464, 465, 1000, 3000, 4095};
	static char name[201], path[8192];
	unsigned i;

	memset(name, 'l', 200);
	for (i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		char *end = path + sprintf(path, "%s/%u", place, i);

		must(mkdir(path, 0755), path);
		if (wanted[i] < (unsigned)(end - path) + 2)
			continue;
		while (path + wanted[i] - end > 203) {
			end += sprintf(end, "/%s", name);
			must(mkdir(path, 0755), path);
		}
		sprintf(end, "/%.*s", (int)(path + wanted[i] - end - 1), name);
		must(mkdir(path, 0755), path);
		mount_tmpfs(path);
		gone(path, 0);
	}
}

static void by_descriptor(void)
{
	char path[64];
	int fd = open(fresh("m"), O_PATH | O_CLOEXEC);

	must(fd, "open");
	sprintf(path, "/proc/self/fd/%d", fd);
	UMOUNT(path, MNT_DETACH, 0, "tmpfs", 0, 1); /* the descriptor holds it until the exit */
}

const struct kind kinds_paths[] = {
	{"blank", blank}, {"newline", newline}, {"utf8", utf8}, {"bytes", bytes},
	{"controls", controls}, {"link", link_to}, {"relative", relative}, {"slash", slash},
	{"dots", dots}, {"lengths", lengths}, {"by-descriptor", by_descriptor}, {0}};
