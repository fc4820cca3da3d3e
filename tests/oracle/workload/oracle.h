/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workload of umounts of known kinds, and its ledger: one line of JSON for each umount(2) and
 * for each namespace, detached tree or failed mount that goes. Nothing in it is of umtrace, so
 * that what umtrace says can be held beside it.
 */
#ifndef ORACLE_H
#define ORACLE_H

#include <stdint.h>
#include <sys/types.h>

#define OWN 1  /* the kind begins in a mount namespace of its own */
#define ENDS 2 /* a mount namespace goes when its task exits */
#define FRESH (OWN | ENDS)

struct kind {
	const char *name; /* also the name of its task, 15 characters at most */
	void (*run)(void);
	int how;
};

/* What umount(2) is expected to do. */
struct call {
	const char *path;
	int flags;
	int expected;	    /* errno */
	const char *fstype; /* 0: not said */
	const char *final;  /* who drops the last reference; 0: not said */
	int mounts;	    /* taken down; 0: not said */
};

extern const struct kind kinds_plain[], kinds_errors[], kinds_paths[], kinds_busy[],
	kinds_types[], kinds_tasks[], kinds_spaces[], kinds_trees[];

extern const char *kind;  /* that runs */
extern const char *place; /* a directory of its own, on a tmpfs */
extern const char *image; /* an ext4 file system, or empty */
extern int files;	  /* in the tmpfs of many */

/* Time of CLOCK_MONOTONIC, ns; no system call. */
uint64_t now(void);

/* Call umount2 and write the ledger's line. Returns 0 or -errno. */
int call_umount(struct call call);
#define UMOUNT(...) call_umount((struct call){__VA_ARGS__})

/* Write the line of an umount that somebody else made, or of one that is no call of ours. */
struct seen {
	pid_t pid, tid;
	const char *comm;
	uint64_t begin, end, next;
	int error;
};
void write_call(const struct call *call, const struct seen *seen);

/* Write that mounts are taken down outside umount(2), by this task if tid is 0. */
void write_teardown(const char *origin, pid_t tid, uint64_t begin, uint64_t end);

/* Write that a task is one of the workload's: every row of it must be in the ledger. */
void write_task(pid_t tid);

/* The kind cannot be had here. */
void skip(const char *why, int error);

/* PLACE/NAME, made as a directory; the text stays. */
char *directory(const char *name);
char *inside(const char *directory, const char *name);
void make_file(const char *path);
/* Mount something, or die with a message. */
void must(long result, const char *what);
void mount_tmpfs(const char *path);
void make_private(const char *path);
/* A mount namespace of our own, where nothing is propagated to or from others. */
void own_namespace(void);

/* A child that runs a function, says that it is ready, and stays until told to go. */
struct child {
	pid_t pid;
	int to, from; /* pipes */
};
struct child start(const char *name, void (*run)(const char *), const char *path);
void ready(void); /* of the child: the parent goes on; returns when it may */
void finish(struct child *child);	     /* let it go on, and wait for its end */
void step(struct child *child);		     /* let it go on until it is ready again */
int namespace_of(pid_t pid);

#endif
