#include "tests/ring3/self.h"

#include "arch/cpu.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "user/tables.h"

#define PAUSE_NS 2000000ull
#define TABLE_ENTRY 7u /* present, may be written, also by ring 3 */
#define TABLE_LARGE 0x80u

extern const struct image_header image_header;
static handle_t system_handle;
static const char *program;

static const char *const type_name[OBJ_TYPES] = {
	[OBJ_NONE] = "none",	    [OBJ_DOMAIN] = "domains", [OBJ_THREAD] = "threads",
	[OBJ_MEM] = "memory",	    [OBJ_EVENT] = "events",   [OBJ_PORT] = "ports",
	[OBJ_CHANNEL] = "channels", [OBJ_VM] = "VMs",	      [OBJ_VCPU] = "vCPUs",
	[OBJ_SYSTEM] = "system",
};

void self_init(const char *name, handle_t system)
{
	program = name;
	system_handle = system;
}

/* xorshift64* */
u64 rnd(u64 *state, u64 below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dull >> 16) % below;
}

u64 option(const char *cmdline, const char *key, u64 otherwise)
{
	size_t n = strlen(key);
	const char *end;
	u64 value;

	for (const char *c = cmdline; *c; c++)
		if ((c == cmdline || c[-1] == ' ') && !strncmp(c, key, n) &&
		    fmt_parse_u64(c + n, &end, &value))
			return value;
	return otherwise;
}

void sleep_ns(u64 ns)
{
	static handle_t event;

	if (!event)
		event = (handle_t)event_create();
	event_wait(event, rt_clock_ns() + ns);
}

void say(const char *fmt, ...)
{
	char line[200];
	va_list ap;
	u32 n = (u32)fmt_snprintf(line, 32, "%s: ", program), done = 0;

	va_start(ap, fmt);
	n += (u32)fmt_vsnprintf(line + n, sizeof(line) - 3 - n, fmt, ap);
	va_end(ap);
	n = MIN(n, (u32)sizeof(line) - 4);
	memcpy(line + n, "\r\n", 2);
	for (n += 2; done < n; sleep_ns(PAUSE_NS)) {
		s64 taken = sys_ctl(system_handle, SYSOP_CONSOLE_WRITE, line + done, n - done);

		if (taken < 0 || (done += (u32)taken) == n)
			break;
	}
}

void finish(u32 status)
{
	s64 r = sys_ctl(system_handle, SYSOP_DEBUG_EXIT, NULL, status);

	while (r == -E_NODEV) /* the machine is about to go; the end of init would be a panic */
		sleep_ns(PAUSE_NS);
	domain_exit(status);
}

void check(bool ok, const char *what, s64 value)
{
	if (ok)
		return;
	say("FAIL: %s: %ld", what, value);
	finish(1);
}

/* ---- Copies of this program ---- */

static bool map_part(handle_t domain, handle_t mem, u64 *at, u64 bytes, u32 prot)
{
	u64 offset = *at;

	*at += bytes;
	return !bytes || !mem_map(domain, mem, image_header.base + offset, offset, bytes, prot);
}

bool load(handle_t domain, handle_t shared, u64 va)
{
	u64 file = image_header.text_size + image_header.rodata_size + image_header.data_size,
	    at = 0;
	u64 data = image_header.data_size + image_header.bss_size;
	s64 mem = mem_create(file + image_header.bss_size, 0),
	    stack = mem_create(INIT_STACK_SIZE, 0);
	void *copy = mem > 0 ? rt_map((handle_t)mem, file, PROT_R | PROT_W, NULL) : NULL;
	bool ok = copy && stack > 0;

	if (ok) {
		memcpy(copy, (const void *)image_header.base, file);
		ok = map_part(domain, (handle_t)mem, &at, image_header.text_size,
			      PROT_R | PROT_X) &&
		     map_part(domain, (handle_t)mem, &at, image_header.rodata_size, PROT_R) &&
		     map_part(domain, (handle_t)mem, &at, data, PROT_R | PROT_W) &&
		     !mem_map(domain, (handle_t)stack, INIT_STACK_TOP - INIT_STACK_SIZE, 0,
			      INIT_STACK_SIZE, PROT_R | PROT_W) &&
		     !mem_map(domain, shared, va, 0, PAGE_SIZE, PROT_R | PROT_W);
	}
	if (copy)
		rt_unmap(copy, file);
	if (mem > 0)
		handle_close((handle_t)mem);
	if (stack > 0)
		handle_close((handle_t)stack);
	return ok;
}

s64 thread_make(handle_t domain, u32 n, u64 arg)
{
	struct thread_args a = {
		.size = sizeof(a),
		.entry = image_header.entry,
		.stack = INIT_STACK_TOP - n * KiB(16),
		.arg = arg,
		.msg_va = INIT_MSG_VA + n * PAGE_SIZE,
	};

	return thread_create(domain, &a);
}

s64 start(handle_t domain, u32 n, u64 arg)
{
	s64 t = thread_make(domain, n, arg);

	if (t > 0)
		thread_set((handle_t)t, THREAD_START, 0);
	return t;
}

s64 wait_end(handle_t domain, u64 limit)
{
	struct port_packet packet = {0};
	s64 port = port_create(), r = port_bind((handle_t)port, domain, 1);

	if (!r)
		r = port_wait((handle_t)port, &packet, 1, rt_clock_ns() + limit);
	handle_close((handle_t)port);
	return r == 1 ? (s64)packet.bits : r;
}

/* ---- Guests ---- */

void guest_long_mode(struct vcpu_state *s, u64 *tables, u64 gpa)
{
	const u64 rows = PAGE_SIZE / sizeof(u64);

	memset(tables, 0, 2 * PAGE_SIZE);
	tables[0] = (gpa + PAGE_SIZE) | TABLE_ENTRY;
	tables[rows] = (gpa + 2 * PAGE_SIZE) | TABLE_ENTRY;
	for (u64 i = 0; i < rows; i++)
		tables[2 * rows + i] = i * PAGE_2M | TABLE_ENTRY | TABLE_LARGE;
	s->cr0 = CR0_PE | CR0_PG | CR0_ET;
	s->cr3 = gpa;
	s->cr4 = CR4_PAE;
	s->efer = EFER_LME | EFER_LMA;
	s->seg[SEG_CS].attr |= SEG_ATTR_L;
}

/* ---- What the machine holds ---- */

struct host_info host(void)
{
	struct host_info h = {0};

	sys_ctl(system_handle, SYSOP_HOSTINFO, &h, sizeof(h));
	return h;
}

static bool can_give(u64 quota)
{
	u32 domains = host().objects[OBJ_DOMAIN];
	s64 d = domain_create(quota, "quota of a domain that never runs");

	if (d <= 0)
		return false;
	handle_close((handle_t)d);
	while (host().objects[OBJ_DOMAIN] > domains) /* it comes back */
		sleep_ns(PAUSE_NS);
	return true;
}

static u64 largest_quota(void)
{
	u64 low = 0, high = host().mem_total;

	while (high - low > 1) {
		u64 middle = low + (high - low) / 2;

		if (can_give(middle))
			low = middle;
		else
			high = middle;
	}
	return low;
}

struct balance balance_take(void)
{
	struct balance b = {0};
	struct host_info h;

	sleep_ns(50 * PAUSE_NS); /* what was ended before is gone */
	b.quota = largest_quota();
	h = host();
	b.free = h.mem_free + h.mem_heap_free;
	memcpy(b.objects, h.objects, sizeof(b.objects));
	return b;
}

static bool objects_same(const struct balance *then, const struct host_info *now, u32 type)
{
	u32 more = type == OBJ_EVENT ? then->more_events : 0;

	return now->objects[type] >= then->objects[type] &&
	       now->objects[type] <= then->objects[type] + more;
}

static bool same(const struct balance *then, const struct host_info *now)
{
	bool ok = now->mem_free + now->mem_heap_free >= then->free;

	for (u32 i = 0; i < OBJ_TYPES; i++)
		ok &= objects_same(then, now, i);
	return ok;
}

void balance_check(const struct balance *then, const char *when, u64 limit)
{
	u64 end = rt_clock_ns() + limit;
	struct host_info h = host();
	bool bad = false;

	while (!same(then, &h) && rt_clock_ns() < end) {
		sleep_ns(PAUSE_NS);
		h = host();
	}
	for (u32 i = 0; i < OBJ_TYPES; i++)
		if (!objects_same(then, &h, i)) {
			say("FAIL: %s: %s: got %u, expected %u", when, type_name[i], h.objects[i],
			    then->objects[i]);
			bad = true;
		}
	if (h.mem_free + h.mem_heap_free < then->free) {
		say("FAIL: %s: free memory: got %lu, expected %lu bytes", when,
		    h.mem_free + h.mem_heap_free, then->free);
		bad = true;
	}
	if (!bad && !can_give(then->quota)) {
		say("FAIL: %s: no quota of %lu bytes is left", when, then->quota);
		bad = true;
	}
	if (bad)
		finish(1);
	check(!tables_check(system_handle), "violations in the kernel's tables", 0);
}
