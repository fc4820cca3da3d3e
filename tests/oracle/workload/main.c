/* SPDX-License-Identifier: Apache-2.0 */
/* oracle LEDGER PLACE FILES [IMAGE]: run every kind once, in a mount namespace of our own. */
#define _GNU_SOURCE
#include "oracle.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int ledger, files;
const char *image = "";
static const char *root;

static const struct kind *const all[] = {kinds_plain, kinds_errors, kinds_paths,  kinds_busy,
					 kinds_types, kinds_tasks,  kinds_spaces, kinds_trees};

static void run_one(const struct kind *one)
{
	uint64_t begin = now();
	int status;
	pid_t pid;

	kind = one->name;
	place = inside(root, kind);
	must(mkdir(place, 0755), place);
	pid = fork();
	must(pid, "fork");
	if (!pid) {
		prctl(PR_SET_NAME, kind);
		if (one->how & OWN)
			own_namespace();
		one->run();
		_exit(0);
	}
	write_task(pid);
	must(waitpid(pid, &status, 0), "wait");
	if (status)
		must(-1, "the kind failed");
	if (one->how & ENDS)
		write_teardown("ns-exit", pid, begin, now());
}

static void run_all(void)
{
	unsigned group;
	const struct kind *one;

	kind = "all";
	prctl(PR_SET_NAME, "oracle-root");
	own_namespace();
	mount_tmpfs(root);
	for (group = 0; group < sizeof(all) / sizeof(*all); group++)
		for (one = all[group]; one->name; one++)
			run_one(one);
	_exit(0);
}

int main(int argc, char **argv)
{
	uint64_t begin = now();
	int status;
	pid_t pid;

	if (argc == 2 && !strcmp(argv[1], "pause")) {
		pause();
		return 0;
	}
	if (argc < 4)
		return 2;
	kind = "root";
	ledger = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	must(ledger, argv[1]);
	root = argv[2];
	files = atoi(argv[3]);
	image = argc > 4 ? argv[4] : "";
	pid = fork();
	must(pid, "fork");
	if (!pid)
		run_all();
	write_task(pid);
	write_task(getpid());
	must(waitpid(pid, &status, 0), "wait");
	write_teardown("ns-exit", pid, begin, now());
	return status ? 1 : 0;
}
