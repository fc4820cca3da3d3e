/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Runs the BPF programs in an ordinary process: maps, rings and helpers, in place of bcc and the
 * kernel. What the programs read of the kernel is memory of the process. There is one task at a time.
 */
#include <linux/types.h>
#include <uapi/linux/ptrace.h>

void *memcpy(void *to, const void *from, unsigned long n);
void *memset(void *to, int with, unsigned long n);
int memcmp(const void *one, const void *other, unsigned long n);
char *strncpy(char *to, const char *from, unsigned long n);

#define HOST_ENTRIES 64 /* of a hash map */
#define HOST_MAPS 64
#define HOST_RING (1 << 20)

struct host_memory {
	void *at;
	unsigned long bytes;
};

static struct host_memory host_memory[HOST_MAPS];
static int host_memories;

static void host_has(void *at, unsigned long bytes)
{
	host_memory[host_memories].at = at;
	host_memory[host_memories++].bytes = bytes;
}

/* What the map is made of is known before main. */
#define HOST_KEEPS(name) \
	__attribute__((constructor)) static void name##_is_kept(void) \
	{ \
		host_has(&name##_data, sizeof(name##_data)); \
	}

#define HOST_MAP(name, key, leaf) \
	static struct { \
		leaf *(*lookup)(key *); \
		int (*update)(key *, leaf *); \
		int (*delete)(key *); \
	} name __attribute__((unused)) = {name##_lookup, name##_update, name##_delete};

#define BPF_ARRAY(name, leaf, size) \
	static leaf name##_data[size]; \
	HOST_KEEPS(name) \
	static leaf *name##_lookup(u32 *key) \
	{ \
		return *key < (size) ? &name##_data[*key] : 0; \
	} \
	static int name##_update(u32 *key, leaf *value) \
	{ \
		if (*key >= (size)) \
			return -1; \
		name##_data[*key] = *value; \
		return 0; \
	} \
	static int name##_delete(u32 *key) \
	{ \
		return -1; \
	} \
	HOST_MAP(name, u32, leaf)
#define BPF_PERCPU_ARRAY(name, leaf, size) BPF_ARRAY(name, leaf, size)

#define BPF_HASH(name, key_type, leaf, size) \
	static struct { \
		int used; \
		key_type key; \
		leaf value; \
	} name##_data[(size) < HOST_ENTRIES ? (size) : HOST_ENTRIES]; \
	HOST_KEEPS(name) \
	static leaf *name##_lookup(key_type *key) \
	{ \
		unsigned i; \
\
		for (i = 0; i < sizeof(name##_data) / sizeof(name##_data[0]); i++) \
			if (name##_data[i].used && !memcmp(&name##_data[i].key, key, sizeof(*key))) \
				return &name##_data[i].value; \
		return 0; \
	} \
	static int name##_update(key_type *key, leaf *value) \
	{ \
		leaf *mine = name##_lookup(key); \
		unsigned i; \
\
		for (i = 0; !mine && i < sizeof(name##_data) / sizeof(name##_data[0]); i++) \
			if (!name##_data[i].used) { \
				name##_data[i].used = 1; \
				name##_data[i].key = *key; \
				mine = &name##_data[i].value; \
			} \
		if (!mine) \
			return -7; \
		*mine = *value; \
		return 0; \
	} \
	static int name##_delete(key_type *key) \
	{ \
		unsigned i; \
\
		for (i = 0; i < sizeof(name##_data) / sizeof(name##_data[0]); i++) \
			if (name##_data[i].used && !memcmp(&name##_data[i].key, key, sizeof(*key))) { \
				name##_data[i].used = 0; \
				return 0; \
			} \
		return -2; \
	} \
	HOST_MAP(name, key_type, leaf)
#define BPF_TABLE(kind, key, leaf, name, size) BPF_HASH(name, key, leaf, size)

/* Records lie one after the other, each behind its header, as in the kernel's ring. */
struct host_ring {
	u64 used;
	u8 data[HOST_RING];
};

static void *host_reserve(struct host_ring *ring, u64 bytes)
{
	u64 *header = (u64 *)(ring->data + ring->used);

	if (ring->used + bytes + 8 > HOST_RING)
		return 0;
	ring->used += bytes + 8;
	*header = bytes;
	return header + 1;
}

static void host_submit(void *record, u64 flags)
{
}

#define BPF_RINGBUF_OUTPUT(name, pages) \
	struct host_ring name##_data; \
	static void *name##_reserve(u64 bytes) \
	{ \
		return host_reserve(&name##_data, bytes); \
	} \
	static struct { \
		void *(*ringbuf_reserve)(u64); \
		void (*ringbuf_submit)(void *, u64); \
	} name __attribute__((unused)) = {name##_reserve, host_submit};

struct bpf_raw_tracepoint_args {
	u64 args[16];
};

#define PAGE_SIZE 4096

/* What the programs read of the registers at a call, on any machine. */
struct host_regs {
	u64 first, second, result, caller, stack;
};
#define pt_regs host_regs
#define PT_REGS_PARM1(ctx) ((ctx)->first)
#define PT_REGS_PARM2(ctx) ((ctx)->second)
#define PT_REGS_RC(ctx) ((ctx)->result)
#define PT_REGS_RET(ctx) ((ctx)->caller)
#define PT_REGS_SP(ctx) ((ctx)->stack)

/* ---- the current task ---- */

struct host {
	u64 now_ns, pid_tgid, task;
	u32 cpu;
	char comm[16];
	u64 stack[8]; /* return addresses from the innermost on, 0 at the end */
} host;

static u64 bpf_ktime_get_ns(void)
{
	return host.now_ns;
}

static u64 bpf_get_current_pid_tgid(void)
{
	return host.pid_tgid;
}

static u64 bpf_get_current_cgroup_id(void)
{
	return 0;
}

static u64 bpf_get_current_task(void)
{
	return host.task;
}

static u32 bpf_get_smp_processor_id(void)
{
	return host.cpu;
}

static int bpf_get_current_comm(void *to, u32 size)
{
	memcpy(to, host.comm, size < 16 ? size : 16);
	return 0;
}

static int bpf_get_stack(void *ctx, void *to, u32 size, u64 flags)
{
	int n;

	for (n = 0; n < 8 && host.stack[n] && n * 8 < size; n++)
		((u64 *)to)[n] = host.stack[n];
	return n * 8;
}

static int bpf_probe_read_kernel(void *to, u32 size, const void *from)
{
	if ((u64)from < PAGE_SIZE) {
		memset(to, 0, size);
		return -14;
	}
	memcpy(to, from, size);
	return 0;
}

static int bpf_probe_read_kernel_str(void *to, u32 size, const void *from)
{
	const char *text = from;
	u32 n = 0;

	if ((u64)from < PAGE_SIZE)
		return -14;
	while (n < size && (((char *)to)[n] = text[n]))
		n++;
	if (n == size)
		((char *)to)[n - 1] = 0;
	else
		n++;
	return n;
}

static int bpf_probe_read_user_str(void *to, u32 size, const void *from)
{
	return bpf_probe_read_kernel_str(to, size, from);
}
