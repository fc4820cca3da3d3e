/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that are held among path walkers, and mounts that only walkers are in. What was true of
 * each comes as one line of JSON, by the clocks of those who did it (CLOCK_MONOTONIC, ns).
 *
 *     held-among-walkers DIR EVERY_MS ROUNDS WALKERS CASE...
 *
 * A CASE is HOLD_WALK: HOLD is fd, cwd, map or none, WALK is one of walks.h. Each round mounts a
 * tmpfs, has so many walkers walk in it without a pause and a keeper hold it until 60 ms after the
 * first EBUSY, and calls umount(2) every so many ms until it succeeds. The walkers stop
 * 60 ms after the keeper.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "walks.h"

#define WALKERS 8 /* at most */
#define KEEP_NS 60000000ULL
#define WALK_NS 120000000ULL
#define GIVE_UP_NS 10000000000ULL

struct told { /* shared by all of one round */
	volatile int ready, stop;
	volatile uint64_t busy;	   /* when the first EBUSY returned */
	volatile uint64_t in, out; /* the keeper was inside for certain from the one to the other */
	volatile uint64_t slowest[WALKERS]; /* after that EBUSY: the end of the pass it fell into */
};

static uint64_t now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return at.tv_sec * 1000000000ULL + at.tv_nsec;
}

static void rest(uint64_t ns)
{
	struct timespec wait = {ns / 1000000000ULL, ns % 1000000000ULL};

	nanosleep(&wait, 0);
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void walker(struct told *told, int number, const struct walk *walk, const char *path)
{
	static struct room room;
	uint64_t entered, busy;

	enter(&room, path, number);
	while (!told->stop) {
		entered = now();
		walk->once(&room);
		busy = told->busy;
		if (busy && entered < busy && !told->slowest[number])
			told->slowest[number] = now() - busy;
	}
	_exit(0);
}

static void keeper(struct told *told, const char *hold, const char *path)
{
	char file[4096];
	void *map = 0;
	int fd = -1;

	snprintf(file, sizeof(file), "%s/x", path);
	if (!strcmp(hold, "cwd")) {
		if (chdir(path))
			fail("chdir");
	} else {
		fd = open(file, O_RDONLY);
		if (fd < 0)
			fail(file);
	}
	if (!strcmp(hold, "map")) {
		map = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			fail("mmap");
		close(fd);
	}
	told->in = now();
	told->ready = 1;
	while (!told->busy && !told->stop)
		rest(1000000);
	while (!told->stop && now() < told->busy + KEEP_NS)
		rest(KEEP_NS / 10);
	told->out = now();
	if (map)
		munmap(map, 4096);
	else if (fd >= 0)
		close(fd);
	else if (chdir("/"))
		fail("chdir");
	_exit(0);
}

static void copy_itself(const char *path)
{
	char file[4096];
	int from = open("/proc/self/exe", O_RDONLY), to;
	ssize_t n = 1;

	snprintf(file, sizeof(file), "%s/p", path);
	to = open(file, O_CREAT | O_WRONLY, 0700);
	while (n > 0)
		n = copy_file_range(from, 0, to, 0, 1 << 20, 0);
	if (n < 0) /* from another file system, before 5.19 */
		while ((n = read(from, page, sizeof(page))) > 0)
			if (write(to, page, n) != n)
				fail(file);
	close(from);
	close(to);
}

static void make_files(const char *path, int walkers)
{
	char file[4096];
	int number, fd;

	for (number = -1; number < walkers; number++) {
		if (number < 0)
			snprintf(file, sizeof(file), "%s/x", path);
		else
			snprintf(file, sizeof(file), "%s/w%d", path, number);
		fd = open(file, O_CREAT | O_RDWR, 0600);
		if (fd < 0 || write(fd, "x", 1) != 1)
			fail(file);
		close(fd);
	}
	snprintf(file, sizeof(file), "%s/l", path);
	if (symlink("x", file))
		fail(file);
	copy_itself(path);
}

static void one_round(const char *name, const char *path, const char *hold,
		      const struct walk *walk, int walkers, uint64_t every)
{
	struct told *told = mmap(0, sizeof(*told), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t start, called = 0, first_call = 0, first_end = 0, first_told = 0, slowest = 0;
	int i, ret, busy = 0, held = strcmp(hold, "none") != 0;
	pid_t keeper_pid = 0;

	if (mkdir(path, 0700) && errno != EEXIST)
		fail(path);
	if (mount("none", path, "tmpfs", 0, 0))
		fail("mount");
	make_files(path, walkers);
	if (held) {
		keeper_pid = fork();
		if (!keeper_pid)
			keeper(told, hold, path);
		while (!told->ready)
			sched_yield();
	}
	for (i = 0; i < walkers; i++)
		if (!fork())
			walker(told, i, walk, path);
	rest(2000000);
	for (start = now();;) {
		called = now();
		ret = umount2(path, 0) ? errno : 0;
		if (ret == EBUSY && !first_end) {
			first_call = called;
			first_end = told->busy = now();
			first_told = now(); /* a walker that was out by then may not have known */
		}
		if (!ret)
			break;
		if (ret != EBUSY || called - start > GIVE_UP_NS)
			fail("umount");
		busy++;
		if (now() - (first_end ? first_end : start) > WALK_NS)
			told->stop = 1;
		rest(every);
	}
	told->stop = 1;
	while (wait(0) > 0)
		;
	for (i = 0; i < walkers; i++)
		slowest = told->slowest[i] > slowest ? told->slowest[i] : slowest;
	printf("{\"name\": \"%s\", \"path\": \"%s\", \"hold\": \"%s\", \"walk\": \"%s\", "
	       "\"keeper\": %d, \"in\": %llu, \"out\": %llu, \"first_call\": %llu, "
	       "\"first_end\": %llu, \"first_told\": %llu, \"slowest\": %llu, \"busy\": %d, \"free\": %llu}\n",
	       name, path, hold, walk->name, keeper_pid, (unsigned long long)told->in,
	       (unsigned long long)told->out, (unsigned long long)first_call,
	       (unsigned long long)first_end, (unsigned long long)first_told,
	       (unsigned long long)slowest, busy, (unsigned long long)called);
	fflush(stdout);
	munmap(told, sizeof(*told));
	rmdir(path);
}

int main(int argc, char **argv)
{
	uint64_t every;
	int round, i, walkers;

	if (argc < 2) /* it was started out of a mount, by a walker */
		return 0;
	walkers = argc > 4 ? atoi(argv[4]) : 0;
	if (argc < 6 || walkers < 1 || walkers > WALKERS) {
		fprintf(stderr, "usage: held-among-walkers DIR EVERY_MS ROUNDS WALKERS CASE...\n");
		return 2;
	}
	every = strtod(argv[2], 0) * 1000000;
	for (round = 0; round < atoi(argv[3]); round++) {
		for (i = 5; i < argc; i++) {
			char hold[16], how[16], name[64], path[3000];

			if (sscanf(argv[i], "%15[a-z]_%15[a-z]", hold, how) != 2 || !walk_of(how))
				return 2;
			snprintf(name, sizeof(name), "%s_%s.%d", hold, how, round);
			snprintf(path, sizeof(path), "%s/%s", argv[1], name);
			one_round(name, path, hold, walk_of(how), walkers, every);
		}
	}
	return 0;
}
