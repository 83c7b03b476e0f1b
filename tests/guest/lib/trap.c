/* IDT and what happens on a trap: a handler, the end of a try_call, or the end of the test. */
#include "guest.h"

#define GATE_INTERRUPT 0x8e00u

extern const ulong trap_stubs[256];
extern ulong try_stack;
struct trap last_trap;
static handler_fn handlers[256];

#ifdef __x86_64__
#define CODE_SELECTOR 0x18u
static struct {
	u32 low, middle, high, reserved;
} idt[256];
#else
#define CODE_SELECTOR 0x08u
static struct {
	u32 low, middle;
} idt[256];
#endif

void set_handler(u32 vector, handler_fn fn) { handlers[vector] = fn; }

void trap_entry(struct frame *f)
{
	handler_fn fn = handlers[f->vector & 255];

	if (fn) {
		fn(f);
		return;
	}
	if (f->vector < 32 && try_stack) {
		last_trap = (struct trap){f->vector, f->error, f->ip, read_cr2()};
		try_abort((long)f->vector);
	}
	fail("unexpected vector %u, error 0x%lx at 0x%lx, cr2 0x%lx", (u32)f->vector, f->error,
	     f->ip, read_cr2());
	end_machine(1);
}

void trap_init(void)
{
	for (u32 i = 0; i < 256; i++) {
		ulong a = trap_stubs[i];

		idt[i].low = CODE_SELECTOR << 16 | (a & 0xffff);
		idt[i].middle = (a & 0xffff0000) | GATE_INTERRUPT;
#ifdef __x86_64__
		idt[i].high = (u32)(a >> 32);
#endif
	}
	trap_load();
}

void trap_load(void)
{
	struct {
		u16 limit;
		ulong base;
	} __attribute__((packed)) reg = {sizeof(idt) - 1, (ulong)idt};

	__asm__ volatile("lidt %0" ::"m"(reg));
}
