/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work that a tracer slows down, without an interpreter's own cost; one line of JSON each.
 *
 *   loops stat|open N PATH     path walks that unmount nothing
 *   loops switch N DIR         two tasks on one CPU pass a byte to and fro
 *   loops umount N DIR         mount and unmount a tmpfs, in a mount namespace of its own
 *   loops churn TASKS N DIR    the same by many tasks at once in one namespace
 *   loops copy-M N DIR         leave a mount namespace, a copy of a living one with M mounts more
 *   loops own-M N DIR          the same of one that has mounted these M mounts itself
 *   loops spread-M N DIR       unmount a tmpfs that M more mount namespaces have a copy of
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BLOCKS = 21 };

static long read_clock(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long now(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

static void must(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static int by_size(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;
	return (x > y) - (x < y);
}

static void own_namespace(void)
{
	must(unshare(CLONE_NEWNS), "unshare");
	must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount --make-rprivate");
}

static int my_namespace(void)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

	must(fd < 0, "/proc/self/ns/mnt");
	return fd;
}

static void print_blocks(long per_block, long *block)
{
	qsort(block, BLOCKS, sizeof(long), by_size);
	printf("{\"n\": %ld, \"median_ns\": %.3f, \"least_ns\": %.3f}\n", per_block * BLOCKS,
	       block[BLOCKS / 2] / 1e3, block[0] / 1e3);
}

static void walk(int open_it, long n, const char *path)
{
	long per_block = n / BLOCKS + 1, block[BLOCKS];
	struct stat about;

	for (int b = 0; b < BLOCKS; b++) {
		/* CPU time: a walk never sleeps, and others may want the CPU too */
		long began = read_clock(CLOCK_PROCESS_CPUTIME_ID);
		for (long i = 0; i < per_block; i++) {
			if (open_it)
				close(open(path, O_RDONLY));
			else
				stat(path, &about);
		}
		block[b] = (read_clock(CLOCK_PROCESS_CPUTIME_ID) - began) * 1000 / per_block;
	}
	print_blocks(per_block, block);
}

static void switching(long n)
{
	long per_block = n / BLOCKS + 1, block[BLOCKS];
	int there[2], back[2];
	char byte = 0;
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	must(sched_setaffinity(0, sizeof(first), &first), "sched_setaffinity");
	must(pipe(there) || pipe(back), "pipe");
	if (!fork()) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1)
			must(write(back[1], &byte, 1) != 1, "write");
		_exit(0);
	}
	close(there[0]);
	for (int b = 0; b < BLOCKS; b++) {
		long began = now();
		for (long i = 0; i < per_block; i++) {
			must(write(there[1], &byte, 1) != 1, "write");
			must(read(back[0], &byte, 1) != 1, "read");
		}
		block[b] = (now() - began) * 1000 / (2 * per_block);
	}
	close(there[1]);
	wait(NULL);
	print_blocks(per_block, block);
}

static void unmounting(long n, const char *dir)
{
	long *took = calloc(n, sizeof(long)), whole = now();

	own_namespace();
	for (long i = 0; i < n; i++) {
		must(mount("bench", dir, "tmpfs", 0, NULL), "mount");
		long began = now();
		must(umount2(dir, 0), "umount2");
		took[i] = now() - began;
	}
	whole = now() - whole;
	qsort(took, n, sizeof(long), by_size);
	printf("{\"n\": %ld, \"median_ns\": %ld, \"least_ns\": %ld, \"p99_ns\": %ld, "
	       "\"pair_ns\": %.1f}\n", n, took[n / 2], took[0], took[n * 99 / 100],
	       (double)whole / n);
}

static void churn(int tasks, long n, const char *dir)
{
	int gate[2];
	char own[256], go;

	own_namespace();
	must(mount("bench", dir, "tmpfs", 0, NULL), "mount");
	must(pipe(gate), "pipe");
	for (int task = 0; task < tasks; task++) {
		if (fork())
			continue;
		prctl(PR_SET_NAME, "churn"); /* what a tool can tell them by */
		snprintf(own, sizeof(own), "%s/%d", dir, task);
		must(mkdir(own, 0700), "mkdir");
		close(gate[1]);
		must(read(gate[0], &go, 1) < 0, "read"); /* until the parent closes it */
		for (long i = 0; i < n; i++) {
			must(mount("bench", own, "tmpfs", 0, NULL), "mount");
			must(umount2(own, 0), "umount2");
		}
		_exit(0);
	}
	sleep(1);
	long began = now();
	close(gate[1]);
	int status, failed = 0;
	while (wait(&status) > 0)
		failed += status != 0;
	printf("{\"n\": %ld, \"failed\": %d, \"wall_ns\": %ld}\n", tasks * n, failed,
	       now() - began);
}

static void bind_many(long mounts, const char *dir)
{
	char below[256];

	for (long i = 0; i < mounts; i++) {
		snprintf(below, sizeof(below), "%s/%ld", dir, i);
		must(mkdir(below, 0700) && errno != EEXIST, "mkdir");
		must(mount(dir, below, NULL, MS_BIND, NULL), "mount --bind");
	}
}

static void print_ends(long *took, long n, long mounts)
{
	long sum = 0;

	for (long i = 0; i < n; i++)
		sum += took[i];
	qsort(took, n, sizeof(long), by_size);
	printf("{\"n\": %ld, \"mounts\": %ld, \"median_ns\": %ld, \"least_ns\": %ld, "
	       "\"mean_ns\": %.1f}\n", n, mounts, took[n / 2], took[0], (double)sum / n);
}

/* The last reference to the namespace is put by setns, and its mounts go before that returns. */
static void leaving(int copied, long mounts, long n, const char *dir)
{
	long *took = calloc(n, sizeof(long));
	int living;

	own_namespace();
	must(mount("bench", dir, "tmpfs", 0, NULL), "mount");
	if (copied)
		bind_many(mounts, dir);
	living = my_namespace();
	for (long i = 0; i < n; i++) {
		must(unshare(CLONE_NEWNS), "unshare");
		if (!copied)
			bind_many(mounts, dir);
		long began = now();
		must(setns(living, CLONE_NEWNS), "setns");
		took[i] = now() - began;
	}
	print_ends(took, n, mounts);
}

/* The copies are peers of the mount that has the tmpfs on it, each in a namespace that is kept. */
static void spreading(long copies, long n, const char *dir)
{
	long *took = calloc(n, sizeof(long));
	char below[256];
	int home;

	own_namespace();
	must(mount("bench", dir, "tmpfs", 0, NULL), "mount");
	must(mount("none", dir, NULL, MS_SHARED, NULL), "mount --make-shared");
	snprintf(below, sizeof(below), "%s/below", dir);
	must(mkdir(below, 0700), "mkdir");
	home = my_namespace();
	for (long i = 0; i < copies; i++) {
		must(unshare(CLONE_NEWNS), "unshare");
		my_namespace(); /* stays open, and so does the namespace */
		must(setns(home, CLONE_NEWNS), "setns");
	}
	for (long i = 0; i < n; i++) {
		must(mount("bench", below, "tmpfs", 0, NULL), "mount");
		long began = now();
		must(umount2(below, 0), "umount2");
		took[i] = now() - began;
	}
	print_ends(took, n, copies);
}

int main(int argc, char **argv)
{
	long mounts = argc > 1 && strchr(argv[1], '-') ? atol(strchr(argv[1], '-') + 1) : 0;

	if (argc == 4 && !strncmp(argv[1], "copy-", 5))
		leaving(1, mounts, atol(argv[2]), argv[3]);
	else if (argc == 4 && !strncmp(argv[1], "own-", 4))
		leaving(0, mounts, atol(argv[2]), argv[3]);
	else if (argc == 4 && !strncmp(argv[1], "spread-", 7))
		spreading(mounts, atol(argv[2]), argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "umount"))
		unmounting(atol(argv[2]), argv[3]);
	else if (argc == 4 && !strcmp(argv[1], "switch"))
		switching(atol(argv[2]));
	else if (argc == 4)
		walk(!strcmp(argv[1], "open"), atol(argv[2]), argv[3]);
	else if (argc == 5)
		churn(atoi(argv[2]), atol(argv[3]), argv[4]);
	else
		return 2;
	return 0;
}
