/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that are held among path walkers, and mounts that only walkers are in. What was true of
 * each comes as one line of JSON, by the clocks of those who did it (CLOCK_MONOTONIC, ns).
 *
 *     held-among-walkers DIR EVERY_MS ROUNDS CASE...
 *
 * A CASE is HOLD_WALK: HOLD is fd, cwd, map or none, WALK is stat, rename, open or rest. Each
 * round mounts a tmpfs, has three walkers walk in it without a pause and a keeper hold it until 60 ms
 * after the first EBUSY, and calls umount(2) every so many ms until it succeeds. The walkers stop
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

#define WALKERS 3
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

static void walk_once(const char *how, const char *file, const char *other)
{
	struct stat found;
	int fd;

	if (!strcmp(how, "stat")) {
		stat(file, &found);
	} else if (!strcmp(how, "rename")) {
		rename(other, other);
	} else if (!strcmp(how, "open")) {
		fd = open(file, O_RDONLY);
		if (fd >= 0)
			close(fd);
	} else {
		rest(1000000);
	}
}

static void walker(struct told *told, int number, const char *how, const char *path)
{
	char file[4096], other[4096];
	uint64_t entered, busy;

	snprintf(file, sizeof(file), "%s/x", path);
	snprintf(other, sizeof(other), "%s/w%d", path, number);
	while (!told->stop) {
		entered = now();
		walk_once(how, file, other);
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

static void make_files(const char *path)
{
	char file[4096];
	int number, fd;

	for (number = -1; number < WALKERS; number++) {
		if (number < 0)
			snprintf(file, sizeof(file), "%s/x", path);
		else
			snprintf(file, sizeof(file), "%s/w%d", path, number);
		fd = open(file, O_CREAT | O_RDWR, 0600);
		if (fd < 0 || write(fd, "x", 1) != 1)
			fail(file);
		close(fd);
	}
}

static void one_round(const char *name, const char *path, const char *hold, const char *how,
		      uint64_t every)
{
	struct told *told = mmap(0, sizeof(*told), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t start, called = 0, first_call = 0, first_end = 0, slowest = 0;
	int i, ret, busy = 0, held = strcmp(hold, "none") != 0;
	pid_t keeper_pid = 0;

	if (mkdir(path, 0700) && errno != EEXIST)
		fail(path);
	if (mount("none", path, "tmpfs", 0, 0))
		fail("mount");
	make_files(path);
	if (held) {
		keeper_pid = fork();
		if (!keeper_pid)
			keeper(told, hold, path);
		while (!told->ready)
			sched_yield();
	}
	for (i = 0; i < WALKERS; i++)
		if (!fork())
			walker(told, i, how, path);
	rest(2000000);
	for (start = now();;) {
		called = now();
		ret = umount2(path, 0) ? errno : 0;
		if (ret == EBUSY && !first_end) {
			first_call = called;
			first_end = told->busy = now();
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
	for (i = 0; i < WALKERS; i++)
		slowest = told->slowest[i] > slowest ? told->slowest[i] : slowest;
	printf("{\"name\": \"%s\", \"path\": \"%s\", \"hold\": \"%s\", \"walk\": \"%s\", "
	       "\"keeper\": %d, \"in\": %llu, \"out\": %llu, \"first_call\": %llu, "
	       "\"first_end\": %llu, \"slowest\": %llu, \"busy\": %d, \"free\": %llu}\n",
	       name, path, hold, how, keeper_pid, (unsigned long long)told->in,
	       (unsigned long long)told->out, (unsigned long long)first_call,
	       (unsigned long long)first_end, (unsigned long long)slowest, busy,
	       (unsigned long long)called);
	fflush(stdout);
	munmap(told, sizeof(*told));
	rmdir(path);
}

int main(int argc, char **argv)
{
	uint64_t every;
	int round, i;

	if (argc < 5) {
		fprintf(stderr, "usage: held-among-walkers DIR EVERY_MS ROUNDS CASE...\n");
		return 2;
	}
	every = strtod(argv[2], 0) * 1000000;
	for (round = 0; round < atoi(argv[3]); round++) {
		for (i = 4; i < argc; i++) {
			char hold[16], how[16], name[64], path[3000];

			if (sscanf(argv[i], "%15[a-z]_%15[a-z]", hold, how) != 2)
				return 2;
			snprintf(name, sizeof(name), "%s_%s.%d", hold, how, round);
			snprintf(path, sizeof(path), "%s/%s", argv[1], name);
			one_round(name, path, hold, how, every);
		}
	}
	return 0;
}
