/* Clock, address ranges, threads, locks and the log of a program. */
#include "user/rt.h"

#include "lib/fmt.h"
#include "uapi/image.h"
#include "user/internal.h"
#include "user/sys.h"

/* Ranges for rt_va_reserve: above any image, below the start block. */
#define VA_FIRST GiB(64)
#define VA_END 0x00007f0000000000ull

static struct {
	u64 va_next; /* [a] 0 = VA_FIRST */
	void (*sink)(const char *line, void *arg);
	void *sink_arg;
	struct rt_mutex sink_lock;
} rt;

/* ---- Clock ---- */

u64 rt_clock_tsc(u64 *tsc)
{
	const struct kinfo *k = rt_kinfo();
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high));
	*tsc = (u64)high << 32 | low;
	if (!(k->flags & KINFO_TSC))
		return (u64)SYS0(SYS_CLOCK_GET);
	return (u64)((unsigned __int128)(*tsc - k->tsc_base) * k->tsc_mult >> 32);
}

u64 rt_clock_ns(void)
{
	u64 tsc;

	return rt_clock_tsc(&tsc);
}

/* ---- Address ranges ---- */

u64 rt_va_reserve(u64 bytes)
{
	u64 align = bytes >= PAGE_2M ? PAGE_2M : PAGE_SIZE;
	u64 old = __atomic_load_n(&rt.va_next, __ATOMIC_RELAXED), va;

	if (!bytes || bytes > VA_END - VA_FIRST)
		return 0;
	do {
		va = ALIGN_UP(old ? old : VA_FIRST, align);
		if (va + ALIGN_UP(bytes, PAGE_SIZE) > VA_END)
			return 0;
	} while (!__atomic_compare_exchange_n(&rt.va_next, &old, va + ALIGN_UP(bytes, PAGE_SIZE),
					      false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return va;
}

void *rt_map(handle_t mem, u64 bytes, u32 prot, int *err)
{
	u64 size = ALIGN_UP(bytes, PAGE_SIZE), va = rt_va_reserve(size);
	s64 e = va ? mem_map(HANDLE_SELF, mem, va, 0, size, prot) : -E_NOMEM;

	if (err)
		*err = e < 0 ? (int)e : 0;
	return e < 0 ? NULL : (void *)va;
}

void rt_unmap(void *p, u64 bytes)
{
	u64 va = (u64)p, end = va + ALIGN_UP(bytes, PAGE_SIZE);

	if (!mem_unmap(HANDLE_SELF, va, end - va))
		__atomic_compare_exchange_n(&rt.va_next, &end, va, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
}

void *rt_pages(u64 bytes)
{
	s64 mem = mem_create(bytes, 0);
	void *p = mem < 0 ? NULL : rt_map((handle_t)mem, bytes, PROT_R | PROT_W, NULL);

	if (mem >= 0)
		handle_close((handle_t)mem); /* the mapping keeps it */
	return p;
}

/* ---- Threads ---- */

static struct rt_thread_info *thread_self(void)
{
	u64 rsp;

	__asm__("movq %%rsp, %0" : "=r"(rsp));
	return (struct rt_thread_info *)ALIGN_UP(rsp, RT_STACK_SIZE) - 1;
}

struct msg_page *rt_msg(void) { return thread_self()->msg; }

bool rt_populate_stack(void)
{
	const struct rt_thread_info *self = thread_self();
	u64 bytes = self->fn ? RT_THREAD_STACK : INIT_STACK_SIZE;

	return rt_populate((const u8 *)(self + 1) - bytes, bytes) == bytes;
}

void rt_thread_main(struct rt_thread_info *self);
void rt_thread_entry(void);

/* rdi, and the stack pointer too: the thread's information at the top of its stack */
__asm__(".text\n"
	"rt_thread_entry:\n"
	"	xorl %ebp, %ebp\n"
	"	call rt_thread_main\n"
	"	ud2\n");

void rt_thread_main(struct rt_thread_info *self)
{
	self->fn(self->arg);
	for (;;)
		thread_set(self->handle, THREAD_STOP, 0);
}

s64 rt_thread(void (*fn)(void *), void *arg)
{
	/* In units of a stack: one for the message page, with a gap above it, one for the stack. */
	u64 room = rt_va_reserve(3 * RT_STACK_SIZE);
	u64 msg = ALIGN_UP(room, RT_STACK_SIZE), stack = msg + RT_STACK_SIZE;
	struct rt_thread_info *self = (struct rt_thread_info *)(stack + RT_STACK_SIZE) - 1;
	u64 stack_bottom = stack + RT_STACK_SIZE - RT_THREAD_STACK;
	s64 mem = room ? mem_create(RT_THREAD_STACK, 0) : -E_NOMEM, thread;

	if (mem < 0)
		return mem;
	thread = mem_map(HANDLE_SELF, (handle_t)mem, stack_bottom, 0, RT_THREAD_STACK,
			 PROT_R | PROT_W);
	if (thread < 0)
		goto close;
	*self = (struct rt_thread_info){.msg = (struct msg_page *)msg, .fn = fn, .arg = arg};
	struct thread_args args = {
		.size = sizeof(args),
		.entry = (u64)rt_thread_entry,
		.stack = (u64)self,
		.arg = (u64)self,
		.msg_va = msg,
	};
	thread = thread_create(HANDLE_SELF, &args);
	if (thread < 0)
		goto unmap;
	self->handle = (handle_t)thread;
	s64 e = thread_set((handle_t)thread, THREAD_START, 0);
	if (e >= 0)
		return thread;
	handle_revoke((handle_t)thread);
	handle_close((handle_t)thread);
	thread = e;
unmap:
	mem_unmap(HANDLE_SELF, stack_bottom, RT_THREAD_STACK);
close:
	handle_close((handle_t)mem);
	return thread;
}

/* ---- Locks ---- */

enum { MUTEX_FREE, MUTEX_HELD, MUTEX_CONTENDED };

/* The event must be there before the state says CONTENDED: unlock reads it then. */
static bool mutex_need_event(struct rt_mutex *m)
{
	handle_t none = HANDLE_NONE;
	s64 e;

	if (__atomic_load_n(&m->event, __ATOMIC_ACQUIRE))
		return true;
	e = event_create();
	if (e < 0)
		return false;
	if (!__atomic_compare_exchange_n(&m->event, &none, (handle_t)e, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		handle_close((handle_t)e);
	return true;
}

void rt_lock(struct rt_mutex *m)
{
	u32 state = MUTEX_FREE;

	if (__atomic_compare_exchange_n(&m->state, &state, MUTEX_HELD, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	bool can_wait = mutex_need_event(m);
	while (__atomic_exchange_n(&m->state, MUTEX_CONTENDED, __ATOMIC_ACQUIRE) != MUTEX_FREE)
		if (!can_wait || event_wait(m->event, DEADLINE_NEVER) < 0)
			__builtin_ia32_pause();
}

void rt_unlock(struct rt_mutex *m)
{
	if (__atomic_exchange_n(&m->state, MUTEX_FREE, __ATOMIC_RELEASE) == MUTEX_CONTENDED &&
	    m->event)
		event_signal(m->event, 1);
}

/* ---- Log ---- */

void rt_log_to(void (*sink)(const char *line, void *arg), void *arg)
{
	rt.sink = sink;
	rt.sink_arg = arg;
}

void rt_log(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!rt.sink)
		return;
	va_start(ap, fmt);
	fmt_vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	rt_lock(&rt.sink_lock);
	rt.sink(line, rt.sink_arg);
	rt_unlock(&rt.sink_lock);
}

static const char *const error_text[] = {
	[E_OK] = "no error",
	[E_NOMEM] = "no memory within the quota",
	[E_INVAL] = "an argument is outside its range",
	[E_HANDLE] = "no such handle",
	[E_TYPE] = "the handle names another kind of object",
	[E_RIGHTS] = "the handle lacks a right",
	[E_FAULT] = "a pointer is not mapped",
	[E_BUSY] = "in use",
	[E_NOENT] = "nothing there",
	[E_EXIST] = "there already",
	[E_NOSYS] = "no such call",
	[E_DEAD] = "destroyed",
	[E_TIMEOUT] = "time is up",
	[E_INTR] = "interrupted",
	[E_NODEV] = "the machine has no such thing",
	[E_STATE] = "not possible in this state",
};
static_assert(ARRAY_SIZE(error_text) == E_ERRORS, "a text for each error");

const char *rt_error(s64 e) { return e <= 0 && -e < E_ERRORS ? error_text[-e] : "unknown error"; }
