/*
 * What the operations run on: descriptor and page tables, the watchdog, and putting everything
 * back.
 */
#include "hostile.h"

#define TSS 0x40
#define USER 3ul
#define PTE_P 1ull
#define PTE_W 2ull
#define PTE_US 4ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)
#define MSR_LSTAR 0xc0000082u
#define CR4_OSXSAVE (1ul << 18)
#define SEND_NMI 0x400u
#define WATCHDOG_COUNT 2386	 /* of the PIT: two milliseconds */
#define WATCHDOG_TICKS 20000000u /* of the TSC: a few times that */
#define GUARD 0x200000ul	 /* 2 MiB between the guest itself and what may be written to */
#define PAGE_TABLES 6		 /* of start.asm, one behind the other */
#define RAM_END 0x1000000ul

void launch(struct context *c) __attribute__((noreturn));
void settle(void);

extern const ulong trap_stubs[256];
extern ulong try_stack;
extern u64 page_pml4[], gdt[];

static u64 gdt_kept[16], gdt_used[16];
static struct {
	u32 low, middle, high, reserved;
} idt_used[256];
u8 gdt_pointer[10], idt_pointer[10];
static struct {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u8 reserved2[10];
	u16 io_map;
} __attribute__((packed)) tss;
static u8 tables_kept[PAGE_TABLES * PAGE] __page_aligned;
static u8 stacks[3][4 * PAGE] __attribute__((aligned(16)));
static u64 trick_tables[3][512] __page_aligned; /* one table of each level */
static u64 low[512] __page_aligned, io[512] __page_aligned, local[512] __page_aligned;
static u64 holes[512] __page_aligned;
static ulong cr0, cr3, cr4;
static u64 efer, apic_base;
static volatile bool inside; /* an operation runs */
u32 world_endless;
/* Since the operation began. So many mean that it broke what these handlers work with. */
static u32 traps;
#define TRAPS_MAX 16
#define STATUS_BROKEN 98
#define STATUS_LOST 99
static volatile u32 nmis; /* since it began */
static volatile u64 last_nmi;

/* ---- Traps ---- */

void console_put_back(void)
{
	outb(0x3f8 + 3, 3);
	outb(0x3f8 + 1, 0);
	outb(0x3f8 + 4, 0);
}

static void lost(const struct frame *f, u32 status)
{
	console_put_back();
	print("\nhostile: lost: vector %u at 0x%lx, error 0x%lx, cr2 0x%lx\n", (u32)f->vector,
	      f->ip, f->error, read_cr2());
	end_machine(status);
}

static void on_trap(struct frame *f)
{
	if (++traps > TRAPS_MAX)
		lost(f, STATUS_BROKEN);
	if (f->vector == ENDED_NMI) {
		last_nmi = rdtsc();
		traps -= !inside;	     /* then it is no sign of anything */
		if (inside && ++nmis >= 2) { /* the first may have been on its way before */
			world_endless++;
			try_abort(ENDED_NMI);
		}
		return;
	}
	if (f->vector >= 32) {
		traps--; /* there may be many: the watchdog comes all the same */
		apic_eoi();
		return;
	}
	if (inside)
		try_abort((long)f->vector);
	if (f->vector == EXC_DB) { /* a breakpoint or single step that the operation left behind */
		__asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul));
		f->flags &= ~0x100ul;
		return;
	}
	if (try_stack)
		try_abort((long)f->vector);
	lost(f, STATUS_LOST);
}

static void pointer_set(u8 pointer[10], const void *table, u32 bytes)
{
	pointer[0] = (u8)(bytes - 1);
	pointer[1] = (u8)((bytes - 1) >> 8);
	copy(pointer + 2, &table, sizeof(table));
}

static u64 segment(ulong base, u32 flags)
{
	return 0x000f00000000ffffull | (u64)(base & 0xffffff) << 16 |
	       (u64)(base >> 24 & 0xff) << 56 | (u64)flags << 40;
}

static void tables_init(void)
{
	u64 base = (ulong)&tss;

	for (u32 i = 0; i < 6; i++) /* as in start.asm */
		gdt_kept[i] = gdt[i];
	gdt_kept[0x30 / 8] = segment(0, 0xc0f3);
	gdt_kept[0x38 / 8] = segment(0, 0xa0fb);
	gdt_kept[TSS / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ull << 40 |
			    (base >> 24 & 0xff) << 56;
	gdt_kept[0x50 / 8] = segment(0, 0xc0fb);
	gdt_kept[0x58 / 8] = segment(CODE, 0x00fb); /* 16 bits, ring 3 */
	gdt_kept[0x60 / 8] = segment(CODE, 0x009b); /* 16 bits, ring 0 */
	gdt_kept[0x68 / 8] = segment(LAPIC, 0xc0f3);
	gdt_kept[0x70 / 8] = segment(IOAPIC, 0xc0f3);
	gdt_kept[0x78 / 8] = segment(SCRATCH, 0x00f3);
	pointer_set(gdt_pointer, gdt_used, sizeof(gdt_used));
	pointer_set(idt_pointer, idt_used, sizeof(idt_used));
	tss.rsp[0] = (ulong)stacks[0] + sizeof(stacks[0]);
	tss.ist[0] = (ulong)stacks[1] + sizeof(stacks[1]);
	tss.ist[1] = (ulong)stacks[2] + sizeof(stacks[2]);
	tss.io_map = sizeof(tss);
	for (u32 i = 0; i < 256; i++) {
		ulong a = trap_stubs[i];
		u32 ist = i == ENDED_NMI ? 2 : 1, dpl = i & 1 ? 0x6000 : 0;

		idt_used[i].low = 0x18u << 16 | (a & 0xffff);
		idt_used[i].middle = (a & 0xffff0000) | 0x8e00u | dpl | ist;
		idt_used[i].high = (u32)(a >> 32);
		set_handler(i, on_trap);
	}
}

static void tables_load(void)
{
	copy(gdt_used, gdt_kept, sizeof(gdt_used)); /* with the TSS not busy */
	settle();
	__asm__ volatile("ltr %w0" ::"r"(TSS));
	__asm__ volatile("lldt %w0" ::"r"(0));
}

/* ---- Memory ---- */

/*
 * Pages of 4 KiB in the place of one of 2 MiB: those from first to end, at their own addresses.
 * Code only where the guest's own is: in zeros an operation would run for long.
 */
static u64 small_pages(u64 table[512], ulong base, ulong first, ulong end)
{
	for (ulong a = first; a < end; a += PAGE)
		table[(a - base) / PAGE] = a | PTE_P | PTE_W | (a < RAM_END ? 0 : PTE_US) |
					   (a >= VGA_END && a < (ulong)page_pml4 ? 0 : PTE_NX);
	return (ulong)table | 7;
}

/*
 * Devices and what is no memory at all are few pages at odd addresses: random code soon finds there
 * what the monitor does not emulate, which ends the VM.
 */
static void devices_init(u64 *pd[4])
{
	small_pages(low, 0, 0, VGA);
	pd[0][0] = small_pages(low, 0, VGA_END, 0x200000); /* this code runs there */
	pd[3][IOAPIC / 0x200000 % 512] = small_pages(io, IOAPIC, IOAPIC, IOAPIC + 2 * PAGE);
	pd[3][LAPIC / 0x200000 % 512] = small_pages(local, LAPIC, LAPIC, LAPIC + PAGE);
	for (u32 gib = 0; gib < 4; gib++)
		pd[gib][HOLE % 0x40000000 / 0x200000] = small_pages(holes, HOLE, HOLE, HOLE + PAGE);
	for (ulong a = VGA; a < VGA_END; a += PAGE)
		holes[(VGA_ALIAS - HOLE + a - VGA) / PAGE] = a | 7 | PTE_NX;
}

static void pages_init(void)
{
	u64 *pdpt = (u64 *)(page_pml4[0] & ~0xffful), *pd[4];

	page_pml4[0] |= PTE_US;
	for (u32 i = 0; i < 4; i++) {
		pdpt[i] |= PTE_US;
		pd[i] = (u64 *)(pdpt[i] & ~0xffful);
	}
	for (u32 i = 0; i < 4 * 512; i++) {
		u64 a = i * 0x200000ull, *entry = &pd[i / 512][i % 512];

		if (a == GUARD || a >= RAM_END)
			*entry = 0;
		else if (a == SCRATCH || a == CODE)
			*entry |= PTE_US;
		if (*entry && a && a != CODE)
			*entry |= PTE_NX;
	}
	devices_init(pd);
	page_pml4[1] = (ulong)trick_tables[0] | PTE_P | PTE_W | PTE_US;
	for (u32 i = 0; i < 4096; i++)
		tricks_change();
	copy(tables_kept, page_pml4, sizeof(tables_kept));
}

/* The first 2 MiB are the guest's own. */
static ulong not_own(ulong a) { return a < 0x200000 ? a + SCRATCH : a; }

void tricks_change(void)
{
	u32 level = below(3), index = rarely(2) ? below(4) : below(512);
	u64 entry = rnd() & 0xfe7 & ~PTE_PS;

	switch (below(8)) {
	case 0: /* nothing, or reserved bits */ entry = rarely(2) ? 0 : rnd() & ~1ull; break;
	case 1:
		entry |= (rnd() & 0x000f000000000000ull) | SCRATCH | PTE_NX |
			 (level < 2 ? PTE_PS : 0);
		break;
	case 2: /* a large page, or a reserved bit in the last level */
		entry |= PTE_PS | (not_own(any_address()) & 0xffffe00000) | PTE_NX;
		break;
	case 3: /* where no memory is: a table there ends the VM */
		entry |= (rnd() & 0xfffffff000) | PTE_NX;
		if (level < 2 && !rarely(1000))
			entry |= PTE_PS;
		break;
	case 4:
		entry |= (not_own(any_address()) & 0xfffff000) | PTE_NX;
		if (level < 2)
			entry = (ulong)trick_tables[level] | 7;
		break;
	default:
		entry |= level < 2 ? (ulong)trick_tables[level + 1] | 7
				   : (SCRATCH + PAGE * below(512)) | PTE_NX;
		break;
	}
	trick_tables[level][index] = entry;
}

/* ---- The watchdog: the PIT, as an NMI by the I/O APIC ---- */

static void apic_put_back(void)
{
	u64 base = rdmsr(MSR_APIC_BASE);

	if (base != apic_base) { /* off is the way from x2APIC mode, xAPIC mode the way there */
		wrmsr(MSR_APIC_BASE, apic_base & ~0xc00ull);
		wrmsr(MSR_APIC_BASE, apic_base & ~0x400ull);
		wrmsr(MSR_APIC_BASE, apic_base);
	}
	apic_write(APIC_SVR, 0x1ff);
	apic_write(APIC_LVT_TIMER, APIC_MASKED);
	apic_write(APIC_LVT0, APIC_MASKED);
	apic_write(APIC_LVT1, APIC_MASKED);
	apic_write(APIC_TIMER_INIT, 0);
	apic_eoi();
}

void watchdog_arm(void)
{
	apic_put_back();
	outb(0x61, 0);
	ioapic_write(0x11 + 2 * WATCHDOG_PIN, 0);
	ioapic_write(0x10 + 2 * WATCHDOG_PIN, SEND_NMI);
	mmio_write(IOAPIC, 0x3e);
	pit_start(2, WATCHDOG_COUNT);
	last_nmi = rdtsc();
}

bool watchdog_stands(void) { return rdtsc() - last_nmi > WATCHDOG_TICKS; }

/* ---- Running ---- */

static void control_put_back(void)
{
	if (read_cr0() != cr0)
		write_cr0(cr0);
	if (read_cr4() != cr4)
		write_cr4(cr4);
	if (read_cr3() != cr3)
		write_cr3(cr3);
}

static void pages_put_back(void)
{
	const u64 *kept = (const u64 *)tables_kept;

	for (u32 i = 0; i < PAGE_TABLES * 512; i++)
		if ((page_pml4[i] ^ kept[i]) & ~0x60ull) /* but accessed and dirty */
			page_pml4[i] = kept[i];
}

void world_breakpoints_off(void) { __asm__ volatile("mov %0, %%dr7" ::"r"(0x400ul)); }

void world_repair(void)
{
	tables_load();
	control_put_back();
	pages_put_back();
	__asm__ volatile("fninit");
	world_breakpoints_off();
	if (rdmsr(MSR_EFER) != efer)
		wrmsr(MSR_EFER, efer);
	if (rdmsr(MSR_APIC_BASE) != apic_base)
		watchdog_arm();
}

void world_renew(void)
{
	world_repair();
	apic_write(APIC_TPR, 0);
	wrmsr(MSR_LSTAR, CODE);
	if (cr4 & CR4_OSXSAVE)
		__asm__ volatile("xsetbv" ::"c"(0), "a"(1), "d"(0));
	pic_init(0x20, 0);
	watchdog_arm();
}

static long protected(void (*fn)(void *), void *arg)
{
	long how;

	nmis = traps = 0;
	inside = true;
	how = try_call(fn, arg);
	inside = false;
	settle();
	control_put_back();
	return how;
}

static void start(void *c) { launch(c); }

long world_run(struct context *c, enum mode mode, u32 offset)
{
	static const u16 selectors[MODES] = {
		[R0_64] = 0x18,	       [R0_32] = 0x08,	      [R0_16] = 0x60,
		[R3_64] = 0x38 | USER, [R3_32] = 0x50 | USER, [R3_16] = 0x58 | USER,
	};
	bool base = mode == R0_16 || mode == R3_16;

	c->ip = base ? offset : CODE + offset;
	c->cs = selectors[mode];
	c->ss = mode >= R3_64 ? 0x30 | USER : 0x10;
	return protected(start, c);
}

void world_init(void)
{
	tables_init();
	efer = rdmsr(MSR_EFER) | EFER_NXE;
	wrmsr(MSR_EFER, efer);
	pages_init();
	cr0 = read_cr0();
	cr3 = read_cr3();
	cr4 = read_cr4();
	if (cpuid(1, 0).ecx & 1u << 26)
		cr4 |= CR4_OSXSAVE;
	write_cr4(cr4);
	write_cr3(cr3);
	tables_load();
	apic_enable();
	apic_base = rdmsr(MSR_APIC_BASE);
	if (rarely(2) && apic_enter_x2())
		apic_base = rdmsr(MSR_APIC_BASE);
	world_renew();
}
