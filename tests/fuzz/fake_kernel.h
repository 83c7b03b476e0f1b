/*
 * The kernel and the runtime as a ring-3 service sees them, with answers that the input chooses.
 * Handles are counted: closing one that is not there is a finding, and so is a number of them that
 * grows without end. A call that would wait when the input is used up ends the run.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "tests/fuzz/fuzz.h"

#include "lib/fmt.h"
#include "services/proto.h"
#include "user/rt.h"
#include "user/sys.h"

#define KERNEL_HANDLES 4096u
#define KERNEL_MAPS 512u

static struct kernel {
	struct fuzz_input in;
	jmp_buf end;
	bool live[KERNEL_HANDLES];
	u32 next, handles, most;
	struct {
		void *p;
		u64 bytes;
		u64 mem;
	} map[KERNEL_MAPS];
	u32 maps;
	u64 now;
	u32 waits;
	struct msg_page msg;
	/* The target's part of the calls; what it leaves to the rest is -E_NOSYS. */
	s64 (*call)(u64 nr, u64 a, u64 b, u64 c, u64 d);
} kernel;

static inline void kernel_begin(const u8 *data, size_t n, u32 most,
				s64 (*call)(u64 nr, u64 a, u64 b, u64 c, u64 d))
{
	static bool mapped;

	if (!mapped)
		mapped = mmap((void *)KINFO_VA, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			      0) != MAP_FAILED;
	if (!mapped)
		abort();
	memset(&kernel, 0, sizeof(kernel));
	kernel.in = (struct fuzz_input){data, n};
	kernel.next = 1;
	kernel.most = most;
	kernel.call = call;
	kernel.now = 1000000000;
}

static inline void kernel_finish(void)
{
	for (u32 i = 0; i < kernel.maps; i++)
		free(kernel.map[i].p);
}

static __noreturn void kernel_end_run(void) { longjmp(kernel.end, 1); }

/* ---- Handles ---- */

static s64 handle_new(void)
{
	u32 h = kernel.next++;

	if (h >= KERNEL_HANDLES)
		kernel_end_run();
	kernel.live[h] = true;
	kernel.handles++;
	FUZZ_CHECK(kernel.handles <= kernel.most, "%u handles", kernel.handles);
	return h;
}

static s64 handle_drop(u64 h)
{
	FUZZ_CHECK(h < KERNEL_HANDLES && kernel.live[h], "handle %#lx is closed and is none", h);
	kernel.live[h] = false;
	kernel.handles--;
	return 0;
}

/* One new handle, or now and then none. */
static s64 handle_maybe(void) { return fuzz_u8(&kernel.in) >= 0xf0 ? -E_NOMEM : handle_new(); }

/* ---- Memory ---- */

static void *map_new(u64 bytes, u64 mem)
{
	void *p = kernel.maps < KERNEL_MAPS && bytes <= MiB(2)
			  ? calloc(1, ALIGN_UP(bytes, PAGE_SIZE))
			  : NULL;

	if (p) {
		kernel.map[kernel.maps].p = p;
		kernel.map[kernel.maps].mem = mem;
		kernel.map[kernel.maps++].bytes = bytes;
	}
	return p;
}

static void map_drop(u64 va)
{
	for (u32 i = 0; i < kernel.maps; i++)
		if ((u64)kernel.map[i].p == va) {
			free(kernel.map[i].p);
			kernel.map[i] = kernel.map[--kernel.maps];
			return;
		}
}

static inline u32 console_bytes(void *buf, u64 n)
{
	u32 got = (u32)fuzz_upto(&kernel.in, MIN(n, 15ull));

	got = (u32)MIN(got, kernel.in.left);

	fuzz_fill(&kernel.in, buf, got);
	return got;
}

/* Waiting passes time; with nothing left to say it would be for ever. */
static void wait_until(u64 deadline)
{
	if (!kernel.in.left || kernel.waits++ > 20000)
		kernel_end_run();
	kernel.now = deadline == DEADLINE_NEVER ? kernel.now + 1000000 : MAX(kernel.now, deadline);
}

s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	s64 r = kernel.call(nr, a, b, c, d);

	if (r != -E_NOSYS)
		return r;
	switch (nr) {
	case SYS_HANDLE_CLOSE: return handle_drop(a);
	case SYS_HANDLE_DUP:
	case SYS_MEM_CREATE:
	case SYS_EVENT_CREATE:
	case SYS_PORT_CREATE:
	case SYS_CHANNEL_CREATE:
	case SYS_DOMAIN_CREATE:
	case SYS_THREAD_CREATE: return handle_maybe();
	case SYS_UNMAP: map_drop(b); return 0;
	case SYS_EVENT_WAIT: wait_until(b); return 0;
	case SYS_DOMAIN_EXIT: kernel_end_run();
	default: return fuzz_u8(&kernel.in) >= 0xf8 ? -E_NOMEM : 0;
	}
}

/* ---- user/rt.c ---- */

u64 rt_clock_ns(void) { return kernel.now += 1000; }
struct msg_page *rt_msg(void) { return &kernel.msg; }
void *rt_alloc(size_t n) { return map_new(n, 0); }
void rt_free(void *p) { map_drop((u64)p); }
const char *rt_error(s64 e) { return "an error"; }
bool rt_populate_image(void) { return true; }
bool rt_populate_stack(void) { return true; }
void rt_log_to(void (*sink)(const char *line, void *arg), void *arg) {}

void rt_log(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (const char *s = line; *s; s++)
		FUZZ_CHECK((u8)*s >= ' ' && (u8)*s < 0x7f, "byte %#x in the log", (u8)*s);
}

void rt_lock(struct rt_mutex *m)
{
	FUZZ_CHECK(!m->state, "a lock that is held");
	m->state = 1;
}

void rt_unlock(struct rt_mutex *m)
{
	FUZZ_CHECK(m->state == 1, "a lock that is not held");
	m->state = 0;
}

void assert_fail(const char *e, const char *f, int l)
{
	FUZZ_CHECK(false, "assert %s at %s:%d", e, f, l);
	abort();
}

/* Any bytes anywhere in what another program may write. */
static inline void kernel_scribble(void *shared, size_t n)
{
	for (u32 k = fuzz_u8(&kernel.in) & 7; k; k--) {
		u32 at = fuzz_u32(&kernel.in) % (u32)n;

		((u8 *)shared)[at] = fuzz_u8(&kernel.in);
	}
}
