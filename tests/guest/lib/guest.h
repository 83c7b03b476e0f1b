/*
 * What a tiny guest is made of. A guest is one file with TEST_NAME and test_main(); the library
 * prints PASS or FAIL on COM1 and ends the machine through port 0xf4 (0 = pass, 1 = fail).
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long ulong; /* as wide as a register */
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PAGE 4096ul
#define __page_aligned __attribute__((aligned(4096)))

#define TEST_NAME(name) const char test_name[] = name
extern const char test_name[];
void test_main(void);

bool command_line_has(const char *word);
u64 command_line_number(const char *key,
			u64 absent); /* key with its "="; decimal, or hexadecimal behind 0x */
extern bool under_caisson;	     /* the word "caisson" is on the command line */
extern ulong memory_end;	     /* end of the RAM above 1 MiB */

/* ---- Output and results ---- */
void print(const char *format, ...); /* %s %c %d %u %x %lx %%; %llx for u64 */
void fail(const char *format, ...);  /* one FAIL line; the test goes on */
void expect_eq(const char *what, u64 got, u64 expected);
void expect(bool ok, const char *what);
bool all_well(void); /* nothing failed so far */
void pass_now(void); /* prints PASS, unless something failed: for tests that don't return */
__attribute__((noreturn)) void end_machine(u32 status);

/* ---- Traps ---- */
struct frame {
#ifdef __x86_64__
	ulong r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
#else
	ulong di, si, bp, reserved_sp, bx, dx, cx, ax;
#endif
	ulong vector, error, ip, cs, flags;
};
struct trap {
	ulong vector, error, ip, cr2;
};
extern struct trap last_trap; /* what ended the last try_call */
#define NO_TRAP (-1l)
enum { EXC_DB = 1, EXC_BP = 3, EXC_UD = 6, EXC_NM = 7, EXC_NP = 11, EXC_GP = 13, EXC_PF = 14 };

/* Runs fn(arg): NO_TRAP, or the vector of the exception that ended it. */
long try_call(void (*fn)(void *), void *arg);
void try_abort(long value) __attribute__((noreturn));
typedef void (*handler_fn)(struct frame *);
void set_handler(u32 vector, handler_fn fn); /* NULL: unexpected again */
void trap_entry(struct frame *f);
void trap_init(void);
void trap_load(void); /* IDTR of this CPU */
void expect_trap(const char *what, long got, long expected);
void guest_start(void);

/* ---- Instructions ---- */
/* clang-format off */
#define OUT(insn, port, v) __asm__ volatile(insn " %0, %1" : : "a"(v), "Nd"(port) : "memory")
#define IN(insn, type, port) \
	({ type v_; __asm__ volatile(insn " %1, %0" : "=a"(v_) : "Nd"(port) : "memory"); v_; })
/* clang-format on */
static inline void outb(u16 port, u8 v) { OUT("outb", port, v); }
static inline void outw(u16 port, u16 v) { OUT("outw", port, v); }
static inline void outl(u16 port, u32 v) { OUT("outl", port, v); }
static inline u8 inb(u16 port) { return IN("inb", u8, port); }
static inline u16 inw(u16 port) { return IN("inw", u16, port); }
static inline u32 inl(u16 port) { return IN("inl", u32, port); }

struct cpuid {
	u32 eax, ebx, ecx, edx;
};
static inline struct cpuid cpuid(u32 leaf, u32 sub)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "0"(leaf), "2"(sub));
	return r;
}
static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (u64)hi << 32 | lo;
}
static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
static inline u64 rdtsc(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi)::"memory");
	return (u64)hi << 32 | lo;
}
static inline void cli(void) { __asm__ volatile("cli" ::: "memory"); }
static inline void sti(void) { __asm__ volatile("sti; nop" ::: "memory"); }
static inline void sti_hlt(void) { __asm__ volatile("sti; hlt" ::: "memory"); }
static inline void invlpg(ulong a) { __asm__ volatile("invlpg (%0)" ::"r"(a) : "memory"); }
#define CR_ACCESS(n)                                                                               \
	static inline ulong read_cr##n(void)                                                       \
	{                                                                                          \
		ulong v;                                                                           \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v)::"memory");                        \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_cr##n(ulong v)                                                    \
	{                                                                                          \
		__asm__ volatile("mov %0, %%cr" #n ::"r"(v) : "memory");                           \
	}
CR_ACCESS(0)
CR_ACCESS(2)
CR_ACCESS(3)
CR_ACCESS(4)
static inline u32 mmio_read(ulong a)
{
	u32 v;
	__asm__ volatile("movl (%1), %0" : "=r"(v) : "r"(a) : "memory");
	return v;
}
static inline void mmio_write(ulong a, u32 v)
{
	__asm__ volatile("movl %0, (%1)" ::"r"(v), "r"(a) : "memory");
}

/* ---- Memory ---- */
void *copy(void *to, const void *from, ulong n);
void fill(void *to, u8 value, ulong n);

/* ---- Interrupt controllers and time: lib/platform.c ---- */
#define LAPIC 0xfee00000ul
#define IOAPIC 0xfec00000ul
/* clang-format off */
enum lapic_reg {
	APIC_ID = 0x20, APIC_VERSION = 0x30, APIC_TPR = 0x80, APIC_EOI = 0xb0, APIC_SVR = 0xf0,
	APIC_ISR = 0x100, APIC_IRR = 0x200, APIC_ICR = 0x300, APIC_ICR2 = 0x310,
	APIC_LVT_TIMER = 0x320, APIC_LVT0 = 0x350, APIC_LVT1 = 0x360, APIC_TIMER_INIT = 0x380,
	APIC_TIMER_NOW = 0x390, APIC_TIMER_DIVIDE = 0x3e0,
};
/* clang-format on */
/* clang-format off */
enum {
	MSR_APIC_BASE = 0x1b, MSR_X2APIC = 0x800, APIC_BASE_X2 = 1 << 10,
	APIC_BASE_ENABLE = 1 << 11, APIC_MASKED = 1 << 16, APIC_PERIODIC = 1 << 17,
	APIC_SELF = 1 << 18, APIC_OTHERS = 3 << 18, APIC_ALL_LEVELS = 1 << 14,
	APIC_ASSERT = 1 << 14,
};
/* clang-format on */
u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 v);
void apic_eoi(void);
void apic_ipi(u32 dest, u32 low); /* ICR: dest is an APIC id, or what the mode in low takes */
void apic_enable(void);		  /* xAPIC on, spurious vector 0xff, every LVT masked */
bool apic_enter_x2(void);	  /* false: not offered */
bool apic_in_x2(void);
void apic_enable_cpu(void); /* the same for this CPU, in the mode that the boot CPU has chosen */
u32 ioapic_read(u32 reg);
void ioapic_write(u32 reg, u32 v);
void pic_init(u8 base, u16 enabled); /* enabled: one bit a line */
void pit_start(u32 mode, u16 count);
u32 pm_timer(void); /* 3.579545 MHz, 24 bits */
/* Interrupts must be on. A stretch in which this CPU does not run counts as 10 milliseconds. */
bool wait_for(volatile u32 *counter, u32 at_least, u32 milliseconds);
void spin(u32 microseconds);

/* ---- Other CPUs: lib/ap.c ---- */
#define AP_MAX 64
#define ALL_CPUS(n) (~0ull >> (64 - (n)))
#define CPU_BIT(n) (1ull << (n))
u32 cpu_count(void); /* by fw_cfg; their APIC ids are 0 to cpu_count() - 1 */
u32 apic_id(void);   /* of the calling CPU */
/*
 * INIT and SIPI: that CPU runs fn(arg) with its local APIC on, interrupts off, the boot CPU's page
 * tables and IDT and a stack of 2 KiB; afterwards it halts. True once it runs. May be called again
 * for the same CPU. A loop without exits should be entered with sti (docs/testing.md, Bochs). One
 * at a time; try_call is for the boot CPU only, and print for one at a time.
 */
bool ap_start(u32 id, void (*fn)(void *), void *arg);
extern void (*ap_first)(void); /* if not NULL, what it does before its local APIC is touched */
u32 cpu_number(void);	       /* of the calling CPU, by its stack: costs no access to a device */

/* ---- All CPUs at the boot CPU's command: lib/crew.c ---- */
/*
 * Starts cpu_count() - 1 CPUs, which sleep with interrupts on, and enables the boot CPU's local
 * APIC. False: one does not start, and it has failed.
 */
bool crew_start(void);
/* CPU n runs fn(arg) with interrupts off; returns when it has. n may be the boot CPU. */
void crew_do(u32 n, void (*fn)(void *), void *arg);
void crew_give(u32 n, void (*fn)(void *), void *arg); /* the two halves of it: for another CPU */
void crew_wait(u32 n);
void crew_all(void (*fn)(void *), void *arg); /* the same on each, one after the other */
bool crew_enter_x2(void);		      /* all CPUs; false: not offered */
/* The handler of vectors whose arrivals are counted; it ends them with EOI, but for NMI. */
void crew_count(struct frame *f);
/*
 * Waits until each CPU of the mask has had the vector, and a moment for others; each of them must
 * have had it once, nobody else at all. Forgets what was counted.
 */
void crew_expect(const char *what, u32 vector, u64 mask);
/*
 * Waits until somebody has had it, and a moment for others: who it was. Forgets what was counted.
 */
u64 crew_got(u32 vector);
