/* The operations: what each puts into registers, its code, and how often it comes. */
#include "hostile.h"
#include "kvm.h"

#define SLOT 16u
#define END 0x0f, 0x0b /* UD2 */
#define RANDOM_CODE                                                                                \
	0x8000u /* behind the slots of fixed code; up to the last page, which stays UD2 */
#define RANDOM_END 0xf000u
#define FLAG_NE (1ull << 5)

static struct context ctx;
bool tracing, calm;
u32 ops_done[KINDS];
static bool watchdog_hit; /* the operation may have stopped the watchdog */
static bool breakpoints;  /* some may be on */
static u8 *const code = (u8 *)CODE;

/* ---- What goes into registers ---- */

static bool is_watchdog(ulong port) { return (port & 0xfffc) == 0x40 || (port & 0xffff) == 0x61; }

/* No register points to the guest's own code and data, or most lives would be short. */
static void set_any(void)
{
	ulong *r = &ctx.r15;

	for (u32 i = 0; i < 15; i++)
		r[i] = rarely(2000) ? any_address()
		       : rarely(2)  ? any_value()
				    : SCRATCH + below(0x200000);
	for (u32 i = 0; i < 15; i++)
		if (is_own(r[i]))
			r[i] += SCRATCH;
	if (port_is_deadly((u16)ctx.dx) && !rarely(100))
		ctx.dx = 0x80;
	watchdog_hit |= is_watchdog(ctx.dx);
}

static void set_in(void) { ctx.dx = any_port(false) | (rnd() & ~0xffffull); }

/* To arm the watchdog again takes longer than ten other operations. */
static u16 out_port(void)
{
	u16 port;

	do
		port = any_port(true);
	while (is_watchdog(port) && !rarely(8));
	watchdog_hit = is_watchdog(port);
	return port;
}

static void set_out(void)
{
	ctx.dx = out_port();
	ctx.ax = any_value();
}

/* Counts that are small, or that never end without the watchdog. */
static void set_string(void)
{
	ctx.dx = out_port();
	ctx.cx = rarely(100) ? rnd() : below(40);
	ctx.di = any_address();
	ctx.si = any_address();
	if (rarely(3))
		ctx.flags ^= 0x400;
}

static void set_pci(void)
{
	outl(0xcf8, rarely(4) ? (u32)rnd() : 0x80000000u | below(0x10000));
	ctx.dx = 0xcfc + below(4);
	ctx.ax = any_value();
}

static void set_rdmsr(void) { ctx.cx = any_msr(false); }

/* Where the hypervisor is to write: not into the guest itself. */
static u64 any_shared(u64 value)
{
	return rarely(4) && value >> 21 ? value : (SCRATCH + below(0x200000)) & ~0x3eull;
}

static void set_wrmsr(void)
{
	u64 value = any_value();

	ctx.cx = any_msr(true);
	if (ctx.cx - KVM_WALL_CLOCK < 6)
		value = any_shared(value);
	if (ctx.cx == 0x830) /* ICR */
		value = (u64)below(3) << 32 | any_icr();
	watchdog_hit = ctx.cx == 0x1b;
	if (ctx.cx == 0x1b && !rarely(4)) /* APIC base: near what it is */
		value = 0xfee00000ull | (value & 0xf00);
	if (ctx.cx == MSR_EFER && !rarely(4))
		value = rdmsr(MSR_EFER) ^ 1ull << below(16);
	/* else the pages of the handlers' stack are wrong */
	if (ctx.cx == MSR_EFER && !rarely(100))
		value |= EFER_NXE;
	ctx.ax = (u32)value;
	ctx.dx = value >> 32;
}

static void set_hypercall(void)
{
	ctx.ax = rarely(4) ? any_value() : below(16);
	ctx.bx = any_value();
	ctx.cx = rarely(2) ? any_value() : below(3);
	ctx.dx = rarely(2) ? any_value() : below(3);
	ctx.si = rarely(4) ? any_value() : any_icr() & ~0xc0000u;
}

static void set_cr0(void) { ctx.ax = (read_cr0() ^ 1ull << below(rarely(8) ? 64 : 31)) | FLAG_NE; }
static void set_cr4(void) { ctx.ax = read_cr4() ^ 1ull << below(rarely(8) ? 64 : 23); }
static void set_value(void) { ctx.ax = any_value(); }

/* Low bits, the bit that keeps the TLB; anything else is fatal here or to the entry. */
static void set_cr3(void)
{
	ctx.ax = read_cr3() | (rnd() & 0x18);
	if (rarely(20000))
		ctx.ax = rarely(2) ? any_value() : ctx.ax | 1ull << (52 + below(12));
}

static void set_dr(void)
{
	switch (below(3)) {
	case 0: ctx.ax = any_address(); break;
	case 1: ctx.ax = 0x400 | (rnd() & 0xffff27ff); break;
	default: ctx.ax = any_value(); break;
	}
	if (calm) /* neither breakpoints nor GD are on */
		ctx.ax &= ~0x20fful;
}

static void set_memory(void)
{
	ctx.di = any_address();
	ctx.si = any_address();
	ctx.cx = rarely(200) ? rnd() : below(40);
	ctx.ax = any_value();
	if (rarely(4))
		ctx.sp = STACK + below(64);
	if (rarely(8))
		ctx.flags ^= 0x400;
}

static void set_apic(void)
{
	static const u16 regs[] = {APIC_ID,
				   APIC_TPR,
				   APIC_EOI,
				   0xd0,
				   0xe0,
				   APIC_SVR,
				   APIC_ISR,
				   0x280,
				   APIC_ICR,
				   APIC_ICR2,
				   APIC_LVT_TIMER,
				   0x330,
				   0x340,
				   APIC_LVT0,
				   APIC_LVT1,
				   0x370,
				   APIC_TIMER_INIT,
				   APIC_TIMER_NOW,
				   APIC_TIMER_DIVIDE,
				   0x3f0};
	u32 reg = rarely(4) ? below(PAGE) : regs[below(ARRAY_SIZE(regs))];

	ctx.di = LAPIC + reg;
	ctx.ax = reg == APIC_ICR ? any_icr() : any_value();
}

static void set_ioapic(void)
{
	u32 reg = below(0x42);

	watchdog_hit = (reg & 0xfe) == 0x10 + 2 * WATCHDOG_PIN;
	if (watchdog_hit && !rarely(8)) {
		reg = 0x10;
		watchdog_hit = false;
	}
	mmio_write(IOAPIC, reg);
	ctx.di = IOAPIC + (rarely(8) ? below(0x50) : 0x10);
	ctx.ax = any_value();
	if ((ctx.ax >> 8 & 7) == 5 && !rarely(500)) /* INIT */
		ctx.ax &= ~0x700ul;
}

static void set_cpuid(void)
{
	static const u32 first[] = {0, 0x40000000, 0x80000000};

	ctx.ax = rarely(8) ? rnd() : first[below(3)] + below(40);
	ctx.cx = rarely(8) ? rnd() : below(20);
}

static void set_xsetbv(void)
{
	ctx.cx = rarely(8) ? rnd() : 0;
	ctx.ax = rnd() >> below(64);
	ctx.dx = rarely(4) ? rnd() : 0;
}

/* A wrong one is the end at the next fault. */
static void set_gdt(void) { ctx.di = rarely(10000) ? any_address() : (ulong)gdt_pointer; }

/* QEMU takes a null selector for LTR and ends when the TSS is used. */
static void set_selector(void)
{
	do
		ctx.ax = rarely(2) ? below(0x100) : rnd();
	while (!(ctx.ax & 0xfffc));
}

static void set_mwait(void)
{
	ctx.ax = SCRATCH;
	ctx.cx = rarely(2) ? 0 : rnd();
	ctx.dx = 0;
}

/* ---- Fixed code ---- */

enum {
	M64 = 1 << R0_64,
	M_FLAT = M64 | 1 << R0_32,
	M_R0 = M64 | 1 << R0_32 | 1 << R0_16,
	M_ALL = (1 << MODES) - 1
};
enum {
	T_REPAIR = 1, /* leaves behind what only world_repair() puts right */
	T_RAM,	      /* on a device it would end the VM: the monitor does not emulate it */
	T_WAIT,	      /* takes until the watchdog comes: seldom */
	/*
	 * Ends a life, or QEMU where other code jumps to it: seldom, and there only when it runs.
	 */
	T_END,
};

static const struct op {
	u8 kind, weight, modes, touches;
	void (*set)(void);
	u8 bytes[SLOT];
} ops[] = {
	/* ports */
	{PORT, 6, M_ALL, 0, set_in, {0xec, END}},
	{PORT, 4, M_ALL, 0, set_in, {0x66, 0xed, END}},
	{PORT, 4, M_ALL, 0, set_in, {0xed, END}},
	{PORT, 6, M_ALL, 0, set_out, {0xee, END}},
	{PORT, 3, M_ALL, 0, set_out, {0x66, 0xef, END}},
	{PORT, 3, M_ALL, 0, set_out, {0xef, END}},
	{PORT, 1, M_ALL, 0, set_string, {0x6c, END}},
	{PORT, 1, M_ALL, 0, set_string, {0xf3, 0x6d, END}},
	{PORT, 1, M_ALL, 0, set_string, {0xf3, 0x66, 0x6f, END}},
	{PORT, 1, M_ALL, 0, set_string, {0xf2, 0x6e, END}},
	{PORT, 2, M_ALL, 0, set_pci, {0xed, END}},
	{PORT, 2, M_ALL, 0, set_pci, {0xef, END}},
	{PORT, 1, M_ALL, 0, set_pci, {0xee, END}},
	/* MSRs */
	{MSR, 9, M_ALL, 0, set_rdmsr, {0x0f, 0x32, END}},
	{MSR, 9, M_ALL, T_REPAIR, set_wrmsr, {0x0f, 0x30, END}},
	/* control registers */
	{CONTROL, 3, M64 | 1 << R3_64, 0, set_cr0, {0x0f, 0x22, 0xc0, END}},
	{CONTROL, 3, M64, 0, set_cr4, {0x0f, 0x22, 0xe0, END}},
	{CONTROL, 3, M64, 0, set_cr3, {0x0f, 0x22, 0xd8, END}},
	{CONTROL, 2, M64, 0, set_value, {0x0f, 0x22, 0xd0, END}},
	{CONTROL, 1, M64, 0, set_value, {0x0f, 0x01, 0xf0, END}},      /* LMSW */
	{CONTROL, 1, M64, T_RAM, set_memory, {0x0f, 0x01, 0x37, END}}, /* LMSW from memory */
	{CONTROL, 1, M_ALL, 0, NULL, {0x0f, 0x06, END}},	       /* CLTS */
	{CONTROL, 1, M_ALL, 0, NULL, {0x0f, 0x20, 0xe0, END}},
	{CONTROL, 1, M64, 0, NULL, {0x44, 0x0f, 0x20, 0xc0, END}},
	/* debug registers */
	{CONTROL, 2, M_FLAT, T_REPAIR, set_dr, {0x0f, 0x23, 0xf8, END}},
	{CONTROL, 2, M_FLAT, T_REPAIR, set_dr, {0x0f, 0x23, 0xf0, 0x90, END}},
	{CONTROL, 2, M_FLAT, T_REPAIR, set_dr, {0x0f, 0x23, 0xc0, END}},
	{CONTROL, 1, M_FLAT, T_REPAIR, set_dr, {0x0f, 0x23, 0xe0, END}}, /* DR4 */
	{CONTROL, 1, M_ALL, 0, NULL, {0x0f, 0x21, 0xf8, END}},
	/* memory and devices */
	{MEMORY, 4, M_ALL, 0, set_memory, {0x8a, 0x07, END}},
	{MEMORY, 4, M_ALL, 0, set_memory, {0x8b, 0x07, END}},
	{MEMORY, 4, M_ALL, 0, set_memory, {0x89, 0x07, END}},
	{MEMORY, 3, M_ALL, 0, set_memory, {0x48, 0x8b, 0x07, END}},
	{MEMORY, 3, M_ALL, 0, set_memory, {0x48, 0x89, 0x07, END}},
	{MEMORY, 2, M_ALL, 0, set_memory, {0x66, 0x89, 0x07, END}},
	{MEMORY, 2, M_ALL, 0, set_memory, {0x88, 0x27, END}},
	{MEMORY, 2, M_ALL, 0, set_memory, {0xc7, 0x07, 1, 2, 3, 4, END}},
	{MEMORY, 2, M_ALL, 0, set_memory, {0x0f, 0xb6, 0x07, END}},
	{MEMORY, 2, M_ALL, 0, set_memory, {0x48, 0x0f, 0xbf, 0x07, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0x86, 0x07, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf0, 0x0f, 0xb1, 0x0f, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0x01, 0x07, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0x48, 0x3b, 0x07, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf0, 0xf7, 0x17, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xff, 0x37, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0x8f, 0x07, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0x0f, 0xab, 0x07, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf0, 0x0f, 0xc1, 0x07, END}},
	{MEMORY, 1, M_ALL, T_RAM, set_memory, {0x0f, 0xc7, 0x0f, END}}, /* CMPXCHG8B */
	{MEMORY, 1, M_ALL, 0, set_memory, {0xa4, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf3, 0xa5, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf3, 0x48, 0xa5, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf3, 0xaa, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf3, 0xac, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf3, 0xa6, END}},
	{MEMORY, 1, M_ALL, 0, set_memory, {0xf2, 0x66, 0xaf, END}},
	{MEMORY, 1, M_ALL, T_RAM, set_memory, {0x0f, 0x01, 0x07, END}},		  /* SGDT */
	{MEMORY, 1, M64, T_RAM, set_gdt, {0x0f, 0x01, 0x17, END}},		  /* LGDT */
	{MEMORY, 1, M_ALL, 0, set_memory, {0x0f, 0x01, 0x3f, END}},		  /* INVLPG */
	{MEMORY, 1, M_ALL, 0, set_memory, {0x0f, 0xae, 0x3f, END}},		  /* CLFLUSH */
	{MEMORY, 1, M64, T_RAM, set_memory, {0x66, 0x0f, 0x38, 0x82, 0x07, END}}, /* INVPCID */
	/* local APIC and I/O APIC */
	{APIC, 6, M_ALL, T_REPAIR, set_apic, {0x89, 0x07, END}},
	{APIC, 3, M_ALL, T_REPAIR, set_apic, {0x8b, 0x07, END}},
	{APIC, 1, M_ALL, T_REPAIR, set_apic, {0x48, 0x89, 0x07, END}},
	{APIC, 1, M_ALL, T_REPAIR, set_apic, {0x87, 0x07, END}},
	{APIC, 1, M_ALL, T_REPAIR, set_apic, {0x66, 0xc7, 0x07, 1, 0, END}},
	{APIC, 3, M_ALL, T_REPAIR, set_ioapic, {0x89, 0x07, END}},
	{APIC, 1, M_ALL, 0, set_ioapic, {0x8b, 0x07, END}},
	/* hypercalls and what is not offered */
	{CALL, 4, M_ALL, 0, set_hypercall, {0x0f, 0x01, 0xd9, END}}, /* VMMCALL */
	{CALL, 4, M_ALL, 0, set_hypercall, {0x0f, 0x01, 0xc1, END}}, /* VMCALL */
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0x01, 0xd8, END}},	     /* VMRUN */
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0x01, 0xda, END}},	     /* VMLOAD */
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0x01, 0xdb, END}},	     /* VMSAVE */
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0x01, 0xdc, END}},	     /* STGI */
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0x01, 0xdd, END}},	     /* CLGI */
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0x01, 0xde, END}},	     /* SKINIT */
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0x01, 0xdf, END}},	     /* INVLPGA */
	/* MONITOR, MWAIT */
	{CALL, 1, M_ALL, T_RAM, set_mwait, {0x0f, 0x01, 0xc8, 0x0f, 0x01, 0xc9, END}},
	{CALL, 1, M_ALL, 0, set_any, {0x0f, 0xaa, END}},   /* RSM */
	{CALL, 1, M_ALL, 0, set_rdmsr, {0x0f, 0x33, END}}, /* RDPMC */
	/* the rest */
	{OTHER, 4, M_ALL, 0, set_cpuid, {0x0f, 0xa2, END}},
	{OTHER, 1, M_ALL, 0, set_cpuid, {0x66, 0x2e, 0xf2, 0x0f, 0xa2, END}}, /* with prefixes */
	{OTHER, 2, M_R0, 0, set_xsetbv, {0x0f, 0x01, 0xd1, END}},
	{OTHER, 1, M_ALL, 0, NULL, {0x0f, 0x09, END}},			 /* WBINVD */
	{OTHER, 1, M_ALL, 0, NULL, {0x0f, 0x08, END}},			 /* INVD */
	{OTHER, 1, M_ALL, 0, NULL, {0x0f, 0x31, 0x0f, 0x01, 0xf9, END}}, /* RDTSC, RDTSCP */
	{OTHER, 1, M_ALL, 0, set_any, {0x0f, 0x05, END}},		 /* SYSCALL */
	{OTHER, 1, M_ALL, T_END, set_any, {0x0f, 0x34, END}},		 /* SYSENTER */
	{OTHER, 1, M64, 0, set_any, {0x48, 0x0f, 0x07, END}},		 /* SYSRET */
	{OTHER, 1, M64, 0, set_any, {0x0f, 0x01, 0xf8, END}},		 /* SWAPGS */
	{OTHER, 1, M_ALL, 0, set_any, {0xf1, END}},			 /* INT1 */
	{OTHER, 1, M_ALL, 0, set_any, {0xcc, END}},
	{OTHER, 1, M_ALL, 0, set_any, {0xcd, 0x81, END}},
	/* STI, HLT: the watchdog wakes it */
	{OTHER, 1, M_R0, T_WAIT, watchdog_arm, {0xfb, 0xf4, END}},
	{OTHER, 1, M_R0, T_WAIT, watchdog_arm, {0xfa, 0xf4, END}},		/* CLI, HLT */
	{OTHER, 1, M_ALL, T_WAIT, watchdog_arm, {0xf3, 0x90, 0xeb, 0xfc, END}}, /* PAUSE for ever */
	{OTHER, 1, M64, T_END, set_selector, {0x0f, 0x00, 0xd8, END}},		/* LTR */
	{OTHER, 1, M64, 0, set_any, {0x0f, 0x00, 0xd0, END}},			/* LLDT */
	{OTHER, 1, M64, 0, set_any, {0x8e, 0xd0, END}},				/* MOV SS */
};
static u32 total_weight;

/* ---- Code that nobody wrote ---- */

/*
 * Opcodes, each with a random tail, that reach the kernel or the monitor more often than uniform
 * bytes.
 */
static const u8 guided[][3] = {
	{1, 0x6c},	 {1, 0x6f},	  {1, 0xe5},	   {1, 0xe6},	    {1, 0xed},
	{1, 0xef},	 {1, 0xf4},	  {1, 0x9d},	   {1, 0x9c},	    {1, 0xcf},
	{1, 0xcb},	 {1, 0xff},	  {1, 0xfe},	   {1, 0x8e},	    {1, 0x8c},
	{1, 0xc4},	 {1, 0xc8},	  {1, 0xc7},	   {1, 0x80},	    {1, 0xa0},
	{1, 0xa3},	 {1, 0xd8},	  {1, 0xdb},	   {1, 0x62},	    {2, 0x0f, 0x00},
	{2, 0x0f, 0x01}, {2, 0x0f, 0x20}, {2, 0x0f, 0x21}, {2, 0x0f, 0x22}, {2, 0x0f, 0x23},
	{2, 0x0f, 0x30}, {2, 0x0f, 0x32}, {2, 0x0f, 0xa2}, {2, 0x0f, 0xae}, {2, 0x0f, 0xc7},
	{2, 0x0f, 0x38}, {2, 0x0f, 0x3a}, {2, 0x0f, 0xba}, {2, 0x0f, 0x6f}, {2, 0x0f, 0x11},
};

static void run(const char *kind, u32 at, enum mode mode)
{
	if (tracing) {
		print("%s 0x%x mode %u flags 0x%lx:", kind, at, mode, ctx.flags);
		for (u32 i = 0; i < SLOT * 2; i++)
			print(" %x", code[at + i]);
		print("\n");
	}
	world_run(&ctx, mode, at);
}

static u32 put_insn(u8 *p)
{
	static const u8 prefixes[] = {0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36,
				      0x64, 0x65, 0x48, 0x41, 0x4c, 0x4f};
	const u8 *g = guided[below(ARRAY_SIZE(guided))];
	u32 n = 0;

	while (rarely(3) && n < 4)
		p[n++] = prefixes[below(ARRAY_SIZE(prefixes))];
	for (u32 i = 0; i < g[0]; i++)
		p[n++] = g[1 + i];
	for (u32 i = below(6); i; i--)
		p[n++] = (u8)rnd();
	return n;
}

/* Among the prefixes of the instruction: QEMU lets a REX prefix stand before others. */
static bool has_rex_r(const u8 *opcode)
{
	static const u8 prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
				      0x66, 0x67, 0xf0, 0xf2, 0xf3};

	for (const u8 *p = opcode - 1;; p--) {
		bool prefix = (*p & 0xf0) == 0x40;

		if ((*p & 0xf4) == 0x44)
			return true;
		for (u32 i = 0; i < ARRAY_SIZE(prefixes); i++)
			prefix |= *p == prefixes[i];
		if (!prefix)
			return false;
	}
}

/* POPF, IRET, CLI, SYSRET, MOV to debug registers: they may clear IF, set TF or a breakpoint. */
static bool changes_flags(const u8 *p)
{
	return *p == 0x9d || *p == 0xcf || *p == 0xfa ||
	       (*p == 0x0f && (p[1] == 0x07 || p[1] == 0x23));
}

/*
 * What would end nearly every run: LGDT, LIDT and MOV to CR3 with nonsense, OUT to the exit port.
 * And QEMU 10.0's own mistakes, which end it: MOV to segment registers 6, 7 and, with REX.R, 8 to
 * 15 overwrites LDTR, TR and what stands behind them instead of #UD, LTR takes a null selector, a
 * write of CR8 with a virtual interrupt pending and an x87 error with CR0.NE clear miss a lock.
 * SYSENTER in 64-bit mode sets CS.L and CS.D, and QEMU itself refuses the next entry with them.
 * VPINSR of another length than 128 bits meets an assert: none of its encodings is left.
 */
static bool is_deadly(const u8 *p)
{
	u32 reg = p[2] >> 3 & 7;

	if (calm && changes_flags(p))
		return true;
	if (p[0] == 0x8e)
		return (p[1] & 0x30) == 0x30 || has_rex_r(p);
	if ((p[0] & 0xfe) == 0xe6)
		return is_watchdog(p[1]) || (port_is_deadly(p[1]) && !rarely(1000));
	if (p[0] == 0xc5)
		return p[2] == 0xc4;
	if (p[0] == 0xc4)
		return p[3] == 0xc4 || p[3] == 0x20 || p[3] == 0x22;
	if (p[0] != 0x0f)
		return false;
	if (p[1] == 0x34)
		return !rarely(100);
	if ((p[1] == 0x00 && reg == 3) || (p[1] == 0x22 && reg == 0))
		return true;
	return ((p[1] == 0x22 && reg == 3) ||
		(p[1] == 0x01 && p[2] < 0xc0 && (reg == 2 || reg == 3))) &&
	       !rarely(1000);
}

/*
 * From the instruction before on, with which the first bytes may make another one; from the end,
 * since what stands in for a byte may be another operand of those before it.
 */
static void spare(u8 *p, u32 n)
{
	for (u8 *q = p + n + 1; q >= p - 3; q--)
		if (is_deadly(q))
			*q = 0x90;
}

/*
 * QEMU 10.0 ends when a breakpoint on an instruction is met in a segment whose base is not 0: it
 * compares the offset with it and then takes it for a debugger's.
 */
static void breakpoints_end(enum mode mode)
{
	if (breakpoints && (mode == R0_16 || mode == R3_16)) {
		world_breakpoints_off();
		breakpoints = false;
	}
}

static void sets_breakpoints(u8 *p, u32 n, enum mode mode)
{
	for (u32 i = 0; i < n; i++) {
		if (p[i] != 0x0f || p[i + 1] != 0x23)
			continue;
		if (mode == R0_16)
			p[i] = 0x90;
		else
			breakpoints = true;
	}
}

/* Somewhere between the fixed code and the last page, often across a page's end. */
static void random_code(void)
{
	u32 at = RANDOM_CODE + (rarely(3) ? PAGE * (1 + below(6)) - 1 - below(15)
					  : below(RANDOM_END - RANDOM_CODE - 64));
	u32 n = 0, length = 1 + below(40);
	enum mode mode = (enum mode)below(MODES);

	while (n < length)
		if (rarely(2))
			n += put_insn(code + at + n);
		else
			code[at + n++] = (u8)rnd();
	code[at + n] = 0x0f;
	code[at + n + 1] = 0x0b;
	spare(code + at, n);
	set_any();
	watchdog_hit |= mode <= R0_16 && rarely(16); /* what the code itself may have done */
	breakpoints_end(mode);
	sets_breakpoints(code + at, n, mode);
	run("code", at, mode);
	ops_done[BYTES]++;
}

/* A write to code takes QEMU long: only what has changed. */
void ops_init(void)
{
	u64 *words = (u64 *)CODE, all_ends = 0x0b0f0b0f0b0f0b0full;

	for (u32 i = 0; i < CODE_BYTES / 8; i++) {
		u64 word = all_ends;

		if (i < ARRAY_SIZE(ops) * SLOT / 8 && ops[i * 8 / SLOT].touches != T_END)
			copy(&word, ops[i * 8 / SLOT].bytes + i * 8 % SLOT, 8);
		if (words[i] != word)
			words[i] = word;
	}
	total_weight = 0;
	for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
		total_weight += ops[i].weight;
}

static void fixed_code(void)
{
	u32 pick = below(total_weight), i = 0;
	enum mode mode;

	for (; pick >= ops[i].weight; i++)
		pick -= ops[i].weight;
	if ((ops[i].touches == T_WAIT && !rarely(8)) || (ops[i].touches == T_END && !rarely(500)))
		i = 0;
	do
		mode = rarely(2) ? R0_64 : (enum mode)below(MODES);
	while (!(ops[i].modes >> mode & 1));
	if (ops[i].set)
		ops[i].set();
	if (ops[i].touches == T_RAM && !rarely(2000)) {
		ctx.ds = 0x33;
		if (ops[i].set == set_memory)
			ctx.di = SCRATCH + below(0x200000);
	}
	ctx.bx = ctx.di; /* what 16-bit code uses instead */
	breakpoints_end(mode);
	breakpoints |= ops[i].set == set_dr;
	if (ops[i].touches == T_END)
		copy(code + i * SLOT, ops[i].bytes, SLOT);
	run("op", i * SLOT, mode);
	if (ops[i].touches == T_END)
		ops_init();
	ops_done[ops[i].kind]++;
	if (ops[i].touches == T_REPAIR &&
	    (rarely(8) || (ops[i].set == set_wrmsr && (u32)ctx.cx == MSR_EFER)))
		world_repair();
	if (ops[i].set == set_ioapic) /* a stray write to the window shall meet the last pin */
		mmio_write(IOAPIC, 0x3e);
}

void ops_one(void)
{
	static const u16 data[] = {0x33, 0x33, 0x33, 0x6b, 0x73, 0x7b};

	ctx.ds = data[below(ARRAY_SIZE(data))];
	ctx.sp = STACK;
	ctx.flags = 2 | (rnd() & (rarely(8) ? 0x257dd5 : 0x8d5)) | (rarely(2) ? 0x200 : 0);
	if (calm)
		ctx.flags = (ctx.flags & ~0x100ul) | 0x200;
	if (rarely(3))
		ctx.flags |= 0x3000; /* IOPL 3 */
	if (rarely(16))
		tricks_change();
	if (watchdog_hit || watchdog_stands())
		watchdog_arm();
	watchdog_hit = false;
	if (rarely(3)) {
		ctx.ds = 0x33;
		random_code();
	} else {
		fixed_code();
	}
}
