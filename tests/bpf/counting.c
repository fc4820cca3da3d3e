/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Runs the counting of bpf/unmounted.h and bpf/spread.h over mounts in its own memory. A line of stdin
 * is an umount: for each mount the number of its namespace, 0 for none; "/" begins another tree of it,
 * "+" one without copies. A line of stdout is what is sent: mounts, namespaces plus 1, and up to three
 * words inum:mounts.
 */
#define UM_SPREAD 1
#include "spread.h"

int printf(const char *format, ...);
int atoi(const char *text);
char *strtok(char *text, const char *ends);
void *memcpy(void *to, const void *from, unsigned long n);
void *memset(void *to, int with, unsigned long n);
extern void *stdin;
char *fgets(char *to, int n, void *file);

#define MOST 20000

struct space {
	u32 inum;
} __attribute__((aligned(64)));

struct mount {
	u64 list, next_unmounted, ns;
};

static struct space space_of[MOST];
static struct mount mounts[MOST];
static struct um_task task = {.tid = 1};
static struct um_spread the_spread;
static struct um_space the_spaces[UM_SPACES];
static u32 the_used[UM_SPACES];
static struct um_event sent;
static int was_sent;

static struct um_spread *spread_at(u32 *key)
{
	return &the_spread;
}

static struct um_space *space_at(u32 *key)
{
	return *key < UM_SPACES ? &the_spaces[*key] : 0;
}

static u32 *used_at(u32 *key)
{
	return *key < UM_SPACES ? &the_used[*key] : 0;
}

static void *reserve(u64 bytes)
{
	was_sent = 1;
	return &sent;
}

static void submit(void *event, u64 flags)
{
}

int bpf_probe_read_kernel(void *to, u32 size, const void *from)
{
	memset(to, 0, size);
	if (!from)
		return -14;
	memcpy(to, from, size);
	return 0;
}

u64 bpf_ktime_get_ns(void)
{
	return 1;
}

u32 bpf_get_smp_processor_id(void)
{
	return 0;
}

#ifdef UM_BPF_LOOP
static struct um_rest the_rest;

static struct um_rest *rest_at(u32 *key)
{
	return &the_rest;
}

static long loop(u32 turns, void *step, void *context, u64 flags)
{
	int (*run)(u64 *) = step;
	u32 i;

	for (i = 0; i < turns && !run(0); i++)
		;
	return i;
}

u64 bpf_pseudo_fd(u64 kind, u64 step)
{
	return (u64)(step == UM_STEP_VICTIM ? um_step_victim :
		     step == UM_STEP_TREE ? um_step_tree : um_step_largest);
}
#endif

/* One tree: its mounts in a list with a head. */
static void take(int first, int end, int how)
{
	static u64 head;
	int i;

	um_tree_begins(&task, (u64)&mounts[first], how);
	if (!(how & UM_PROPAGATED))
		return;
	head = (u64)&mounts[first].list;
	for (i = first; i < end; i++)
		mounts[i].list = i + 1 < end ? (u64)&mounts[i + 1].list : (u64)&head;
	um_tree_spreads(&task, (u64)&head);
}

static void show(int n)
{
	u64 words[3], counted, first = n ? (u64)&mounts[0].next_unmounted : 0;
	u32 spaces;
	int i;

	for (i = 0; i < n; i++)
		mounts[i].next_unmounted = i + 1 < n ? (u64)&mounts[i + 1].next_unmounted : 0;
	counted = um_count_on(first, 0);
	spaces = um_spread_ends(1, &task, n);
	printf("%lld %u", (long long)counted, spaces);
	if (was_sent) {
		words[0] = sent.a;
		memcpy(words + 1, sent.comm, 16);
		for (i = 0; i < 3 && words[i]; i++)
			printf(" %u:%u", (u32)words[i], (u32)(words[i] >> 32));
	}
	printf("\n");
}

int main(void)
{
	static char line[1 << 20];
	char *at;
	int i;

	spread.lookup = spread_at;
	spaces.lookup = space_at;
	spaces_used.lookup = used_at;
	events.ringbuf_reserve = reserve;
	events.ringbuf_submit = submit;
#ifdef UM_BPF_LOOP
	rest.lookup = rest_at;
	um_bpf_loop = loop;
#endif
	for (i = 0; i < MOST; i++)
		space_of[i].inum = i;
	while (fgets(line, sizeof(line), stdin)) {
		int n = 0, first = 0, how = UM_PROPAGATED;

		task.begun_ns++;
		was_sent = 0;
		for (at = strtok(line, " \n"); at; at = strtok(0, " \n")) {
			if (*at == '/' || *at == '+') {
				take(first, n, how);
				how = *at == '/' ? UM_PROPAGATED : 0;
				first = n;
				continue;
			}
			i = atoi(at);
			mounts[n++].ns = i ? (u64)&space_of[i] : 0;
		}
		if (n > first)
			take(first, n, how);
		show(n);
	}
	return 0;
}
