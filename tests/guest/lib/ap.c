/* The other CPUs of the machine: started by INIT and SIPI, one at a time. */
#include "guest.h"

#define AP_CODE 0x8000ul
#define AP_STACK 2048
#define AP_TRIES 1000
enum { IPI_INIT = 5 << 8, IPI_STARTUP = 6 << 8, FW_CFG_CPUS = 5 };

extern const u8 ap_code[], ap_code_end[];
extern volatile u64 ap_stack_top;
void ap_main(void);
void (*ap_first)(void);

static u8 stacks[AP_MAX][AP_STACK] __attribute__((aligned(16)));
static struct {
	void (*fn)(void *);
	void *arg;
	volatile u32 started;
} ap;

u32 cpu_count(void)
{
	outw(0x510, FW_CFG_CPUS);
	return inb(0x511) | (u32)inb(0x511) << 8;
}

u32 apic_id(void)
{
	u32 id = apic_read(APIC_ID);

	return apic_in_x2() ? id : id >> 24;
}

u32 cpu_number(void)
{
	ulong at = (ulong)__builtin_frame_address(0) - (ulong)stacks;

	return at < sizeof(stacks) ? (u32)(at / AP_STACK) : 0;
}

void ap_main(void)
{
	void (*fn)(void *) = ap.fn;
	void *arg = ap.arg;

	trap_load();
	if (ap_first)
		ap_first();
	apic_enable_cpu();
	ap.started = 1;
	fn(arg);
	for (;;)
		__asm__ volatile("cli; hlt");
}

/* Without interrupts: the time is the PM timer's. */
static bool wait_started(u32 microseconds)
{
	for (u32 n = 0; n < microseconds && !ap.started; n += 50)
		spin(50);
	return ap.started;
}

bool ap_start(u32 id, void (*fn)(void *), void *arg)
{
	copy((void *)AP_CODE, ap_code, (ulong)ap_code_end - (ulong)ap_code);
	ap_stack_top = (ulong)stacks[id % AP_MAX] + AP_STACK;
	ap.fn = fn;
	ap.arg = arg;
	ap.started = 0;
	apic_ipi(id, IPI_INIT | APIC_ASSERT);
	spin(200);
	for (u32 i = 0; i < AP_TRIES; i++) {
		apic_ipi(id, IPI_STARTUP | AP_CODE >> 12);
		if (wait_started(10000))
			return true;
	}
	return false;
}
