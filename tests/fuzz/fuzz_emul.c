// SOURCES: vmm/emul.c vmm/emul_walk.c vmm/emul_operand.c vmm/emul_alu.c vmm/emul_string.c
// SOURCES: vmm/emul_system.c vmm/emul_segment.c vmm/emul_flow.c vmm/emul_integer.c
// SOURCES: vmm/emul_any.c vmm/emul_task.c lib/insn_decode.c vmm/insn_forms.c
// LIBS: -lZydis
// MAX_LEN: 256
/*
 * One step of the emulator on a machine that the input describes: mode, registers, segments, page
 * tables, code and what devices answer; or a few steps and events of a mode that the CPU can't run,
 * or a task switch. It writes only memory that it asked for, says truly what it changed, and comes
 * to an end.
 */
#include "tests/fuzz/fuzz.h"

#include "arch/cpu.h"
#include "tests/host/insn_reference.h"
#include "vmm/emul_priv.h"

#define RAM_BYTES KiB(80)
#define TABLES 0x10000ull /* four pages: the root, then a table of each lower level */
#define CODE 0x1000ull
#define MMIO_GPA 0x200000ull
/*
 * A REP moves 4096 bytes at most; each may be two accesses to devices of a byte, and tables of five
 * levels.
 */
#define CALLS_MAX 60000u
#define STEPS_MAX 3

static struct machine {
	struct emul e;
	struct vcpu_state s, before;
	struct fuzz_input in;
	u8 *ram, *was; /* now, and before the step */
	u8 *asked;     /* 1 for each byte that was asked for */
	u32 calls, mmio, ports;
	u32 widest;
} m;

static void count(void) { FUZZ_CHECK(++m.calls <= CALLS_MAX * STEPS_MAX, "a step without end"); }

static void *op_ram(struct emul *e, u64 gpa, u64 bytes)
{
	FUZZ_CHECK(bytes && gpa % PAGE_SIZE + bytes <= PAGE_SIZE, "%#lx, %lu bytes", gpa, bytes);
	count();
	if (gpa >= RAM_BYTES)
		return NULL;
	memset(m.asked + gpa, 1, bytes);
	return m.ram + gpa;
}

static void check_access(u64 gpa, u32 size)
{
	FUZZ_CHECK(size == 1 || size == 2 || size == 4 || size == 8, "size %u", size);
	FUZZ_CHECK(size == 1 || gpa % size == 0, "%u bytes at %#lx", size, gpa);
	m.widest = MAX(m.widest, size);
	count();
	m.mmio += m.e.next_rip != 0; /* set when the code has been read */
}

static u64 op_mmio_read(struct emul *e, u64 gpa, u32 size)
{
	check_access(gpa, size);
	return fuzz_take(&m.in, size);
}

static void op_mmio_write(struct emul *e, u64 gpa, u32 size, u64 value)
{
	check_access(gpa, size);
	FUZZ_CHECK(size == 8 || !(value >> size * 8), "%#lx in %u bytes", value, size);
}

static void check_port(u32 size)
{
	FUZZ_CHECK(size == 1 || size == 2 || size == 4, "size %u", size);
	count();
	m.ports++;
}

static u32 op_io_in(struct emul *e, u16 port, u32 size)
{
	check_port(size);
	return (u32)fuzz_take(&m.in, size);
}

static void op_io_out(struct emul *e, u16 port, u32 size, u32 value)
{
	check_port(size);
	FUZZ_CHECK(size == 4 || !(value >> size * 8), "%#x in %u bytes", value, size);
}

static void op_bus_lock(struct emul *e, bool on) {}

/* What is taken is set: no group of the step's holds it. */
static bool op_set_control(struct emul *e)
{
	bool taken = fuzz_u8(&m.in) & 1;

	if (taken)
		memcpy(&m.before.cr0, &m.s.cr0,
		       offsetof(struct vcpu_state, dr) - offsetof(struct vcpu_state, cr0));
	return taken;
}

static enum emul_result op_msr(struct emul *e, u32 msr, bool write, u64 *value)
{
	*value = fuzz_u64(&m.in);
	return fuzz_u8(&m.in) % (EMUL_KERNEL + 1);
}

static const struct emul_ops ops = {op_ram,    op_mmio_read, op_mmio_write,  op_io_in,
				    op_io_out, op_bus_lock,  op_set_control, op_msr};

/* ---- The machine ---- */

static void put(u64 at, u64 v) { memcpy(m.ram + at, &v, 8); }

/* The first 2 MiB one to one by pages of 4 KiB, the next 2 MiB by a large one: devices. */
static void build_tables(u32 kind)
{
	u64 pt = TABLES + 0x3000;

	for (u64 i = 0; i < 512; i++)
		put(pt + i * 8, i << 12 | 7);
	put(TABLES + 0x2000, pt | 7);
	put(TABLES + 0x2000 + 8, MMIO_GPA | 0x87);
	put(TABLES + 0x1000, (TABLES + 0x2000) | 7);
	put(TABLES, kind == 1 ? (TABLES + 0x2000) | 1 : (TABLES + 0x1000) | 7);
	if (kind != 2)
		return;
	for (u32 i = 0; i < 1024; i++) /* 32-bit: one table of 4 MiB, by pages */
		memcpy(m.ram + pt + i * 4, &(u32){i << 12 | 7}, 4);
	put(TABLES, pt | 7);
}

static void build_mode(u8 mode, u8 flags)
{
	static const struct {
		u64 cr0, cr4, efer;
		u16 cs;
		u8 tables;
	} modes[] = {
		{CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, SEG_ATTR_L, 0},
		{CR0_PE, 0, 0, SEG_ATTR_DB, 0},
		{0, 0, 0, 0, 0},
		{CR0_PE | CR0_PG, CR4_PAE, 0, SEG_ATTR_DB, 1},
		{CR0_PE | CR0_PG, 0, 0, SEG_ATTR_DB, 2},
		{CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, SEG_ATTR_DB, 0},
		{CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, 0, 0},
		{CR0_PE, 0, 0, 0, 0},
	};
	u32 n = mode % ARRAY_SIZE(modes);
	u16 cpl = mode & 0x80 ? 3 : 0;

	build_tables(modes[n].tables);
	m.s.cr3 = TABLES;
	m.s.cr0 = modes[n].cr0 | (flags & 1 ? CR0_WP : 0);
	m.s.cr4 = modes[n].cr4 | (flags & 2 ? CR4_SMEP : 0) | (flags & 4 ? CR4_SMAP : 0) |
		  (flags & 8 ? CR4_PSE : 0);
	m.s.efer = modes[n].efer | (flags & 16 ? EFER_NXE : 0);
	for (u32 i = 0; i <= SEG_GS; i++) {
		m.s.seg[i].attr = (u16)(SEG_ATTR_P | SEG_ATTR_S | cpl << 5 |
					(i == SEG_CS ? 11u | modes[n].cs : 3u | SEG_ATTR_DB));
		m.s.seg[i].limit = modes[n].cs & SEG_ATTR_DB ? 0xffffffff : 0xffff;
	}
	m.s.seg[SEG_TR] =
		(struct seg_state){.attr = SEG_ATTR_P | 11, .limit = 0x2067, .base = 0x4000};
	m.s.rflags = 2 | (flags & 32 ? RFLAGS_AC : 0) | (flags & 64 ? RFLAGS_TF : 0) |
		     (flags & 128 ? RFLAGS_VM : 0);
}

/* A register: near the places that are mapped, or anything. */
static u64 take_register(void)
{
	u8 kind = fuzz_u8(&m.in);

	switch (kind & 7) {
	case 0: return kind >> 3;
	case 1: return fuzz_u16(&m.in);
	case 2: return MMIO_GPA + (kind >> 3);
	case 3: return MMIO_GPA + fuzz_u16(&m.in);
	case 4: return 0x6000 - (kind >> 3); /* up to the page's end and beyond */
	case 5: return ~(u64)(kind >> 3);
	case 6: return RAM_BYTES - (kind >> 3);
	default: return fuzz_u64(&m.in);
	}
}

static void take_changes(void)
{
	u32 segments = fuzz_u8(&m.in), entries = segments >> 4;

	for (segments &= 3; segments; segments--) {
		struct seg_state *g = &m.s.seg[fuzz_u8(&m.in) % SEGS];

		g->attr = fuzz_u16(&m.in) & 0xfff;
		g->limit = fuzz_u32(&m.in);
		g->base = take_register();
	}
	for (; entries; entries--)
		put(TABLES + (fuzz_u16(&m.in) & 0x3ff8), fuzz_u64(&m.in));
}

static void build(const u8 *data, size_t n)
{
	u8 mode, flags;

	memset(&m.e, 0, sizeof(m.e));
	memset(&m.s, 0, sizeof(m.s));
	memset(m.ram, 0, RAM_BYTES);
	memset(m.asked, 0, RAM_BYTES);
	m.calls = m.mmio = m.ports = m.widest = 0;
	m.in = (struct fuzz_input){data, n};
	m.e.s = &m.s;
	m.e.ops = &ops;
	mode = fuzz_u8(&m.in);
	flags = fuzz_u8(&m.in);
	build_mode(mode, flags);
	m.s.rip = CODE + PAGE_SIZE - (mode >> 3 & 15 ? mode >> 3 & 15 : 32);
	if (m.in.left > INSN_MAX) {
		memcpy(m.ram + m.s.rip, m.in.at, INSN_MAX);
		m.in.at += INSN_MAX;
		m.in.left -= INSN_MAX;
	} else {
		fuzz_fill(&m.in, m.ram + m.s.rip, m.in.left);
	}
	for (u32 i = 0; i < GPRS && m.in.left; i++)
		m.s.gpr[i] = take_register();
	take_changes();
	m.before = m.s;
	memcpy(m.was, m.ram, RAM_BYTES);
}

/* ---- What must hold ---- */

static void check_memory(void)
{
	for (u64 page = 0; page < RAM_BYTES; page += PAGE_SIZE) {
		if (!memcmp(m.ram + page, m.was + page, PAGE_SIZE))
			continue;
		for (u64 i = page; i < page + PAGE_SIZE; i++)
			FUZZ_CHECK(m.ram[i] == m.was[i] || m.asked[i], "wrote %#lx without asking",
				   i);
	}
}

static void check_group(u32 group, const void *now, const void *before, size_t n, const char *what)
{
	FUZZ_CHECK(m.e.dirty & group || !memcmp(now, before, n), "%s changed, dirty says %#x", what,
		   m.e.dirty);
}

#define CHECK_GROUP(group, from, to)                                                               \
	check_group(group, &m.s.from, &m.before.from,                                              \
		    offsetof(struct vcpu_state, to) - offsetof(struct vcpu_state, from), #from)

static void check_state(enum emul_result r)
{
	CHECK_GROUP(STATE_GPR, gpr, seg);
	CHECK_GROUP(STATE_SEG, seg, cr0);
	CHECK_GROUP(STATE_CR, cr0, dr);
	CHECK_GROUP(STATE_DR, dr, msr);
	CHECK_GROUP(STATE_EVENT, event, fpu);
	FUZZ_CHECK(!(m.e.dirty & ~(u32)EMUL_GROUPS), "dirty %#x", m.e.dirty);
	/* what vcpu_set would refuse */
	for (u32 i = 0; i < SEGS; i++)
		FUZZ_CHECK(!(m.s.seg[i].attr & ~0xfffu), "attributes %#x", m.s.seg[i].attr);
	FUZZ_CHECK(m.s.gdtr.limit <= 0xffff && m.s.idtr.limit <= 0xffff, "table limit");
	FUZZ_CHECK(m.s.event.activity <= VCPU_HALTED, "activity %u", m.s.event.activity);
	if (r == EMUL_FAULT) {
		FUZZ_CHECK(m.s.rip == m.before.rip, "rip moved with a fault");
		FUZZ_CHECK(m.s.event.injecting >> 31 && m.e.vector < 32, "no event with a fault");
		FUZZ_CHECK((m.s.event.injecting & 0xff) == m.e.vector, "vector %u", m.e.vector);
	}
	if (r == EMUL_UNSUPPORTED)
		FUZZ_CHECK(m.e.why && *m.e.why && m.e.byte_count <= INSN_MAX,
			   "refused without a reason");
}

/* An operand there, or a segment register, whose descriptor is read from a table. */
static bool has_memory(const struct reference *r)
{
	for (u32 i = 0; i < r->in.operand_count; i++)
		if (r->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY ||
		    (r->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		     ZydisRegisterGetClass(r->op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT))
			return true;
	return false;
}

/* What was done against what the reference says of the bytes. */
static void check_reference(void)
{
	u32 mode = m.e.mode == INSN_MODE_16 ? 0 : m.e.mode == INSN_MODE_32 ? 1 : 2;
	bool repeats = m.e.insn.prefixes & (INSN_P_REP | INSN_P_REPNE);
	struct reference r;

	if (!reference_decode(mode, m.e.bytes, m.e.byte_count, &r))
		return;
	FUZZ_CHECK(r.in.length == m.e.byte_count, "length %u, Zydis %u", m.e.byte_count,
		   r.in.length);
	FUZZ_CHECK(m.s.rip != m.before.rip || repeats || m.e.insn.prefixes & INSN_P_LOCK || !m.mmio,
		   "rip stays");
	FUZZ_CHECK(!m.mmio || has_memory(&r) || m.ports, "%s touched a device",
		   ZydisMnemonicGetString(r.in.mnemonic));
	FUZZ_CHECK(!m.ports || r.in.meta.category == ZYDIS_CATEGORY_IO ||
			   r.in.meta.category == ZYDIS_CATEGORY_IOSTRINGOP,
		   "%s touched a port", ZydisMnemonicGetString(r.in.mnemonic));
}

/* Code, interrupts and exceptions of a mode that the CPU can't run. */
static void run_mode(void)
{
	enum emul_result r;

	m.s.gdtr = (struct table_state){.base = 0x5000, .limit = fuzz_u16(&m.in)};
	m.s.idtr = (struct table_state){.base = fuzz_u16(&m.in), .limit = fuzz_u16(&m.in)};
	for (u64 at = 0x5000; at < 0x5080; at += 8)
		put(at, fuzz_u64(&m.in));
	if (fuzz_u8(&m.in) & 1)
		m.s.event.injecting = 1u << 31 | (fuzz_u16(&m.in) & 0xfff);
	m.before = m.s;
	memcpy(m.was, m.ram, RAM_BYTES);
	r = emul_run(&m.e, STEPS_MAX);
	FUZZ_CHECK(r == EMUL_OK || r == EMUL_KERNEL || r == EMUL_SHUTDOWN || r == EMUL_UNSUPPORTED,
		   "result %d", r);
	FUZZ_CHECK(r != EMUL_KERNEL || (m.e.carry_out && m.e.carry_out < RUN_DO_EXIT),
		   "carry_out %u", m.e.carry_out);
	check_memory();
	check_state(r == EMUL_UNSUPPORTED ? r : EMUL_OK);
}

static void switch_task(void)
{
	struct run_task t = {fuzz_u16(&m.in) & 0x7f, fuzz_u8(&m.in) & 3, fuzz_u8(&m.in) & 15,
			     fuzz_u32(&m.in), fuzz_u32(&m.in)};
	enum emul_result r;

	m.s.gdtr = (struct table_state){.base = 0x5000, .limit = 0x7f};
	m.s.seg[SEG_TR].selector = 0x20;
	m.s.seg[SEG_LDTR] =
		(struct seg_state){.attr = SEG_ATTR_P | 2, .limit = 0x3f, .base = 0x5080};
	for (u64 at = 0x5000; at < 0x50c0; at += 8)
		put(at, fuzz_u64(&m.in));
	for (u64 at = 0x4800; at < 0x4870; at += 8)
		put(at, fuzz_u64(&m.in));
	put(0x5040, 0x0000890048000067ull); /* an available TSS at 0x4800 */
	m.before = m.s;
	memcpy(m.was, m.ram, RAM_BYTES);
	r = emul_task_switch(&m.e, &t);
	FUZZ_CHECK(r == EMUL_OK || r == EMUL_FAULT || r == EMUL_UNSUPPORTED, "result %d", r);
	check_memory();
	if (r == EMUL_FAULT)
		FUZZ_CHECK(m.s.event.injecting >> 31, "no event with a fault");
	check_state(r == EMUL_UNSUPPORTED ? r : EMUL_OK);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	if (!m.ram) {
		reference_init();
		m.ram = aligned_alloc(PAGE_SIZE, RAM_BYTES);
		m.was = malloc(RAM_BYTES);
		m.asked = malloc(RAM_BYTES);
	}
	build(data, n);
	switch (fuzz_u8(&m.in) & 3) {
	case 2: run_mode(); return 0;
	case 3: switch_task(); return 0;
	}

	enum emul_result r = emul_step(&m.e);

	/* an MSR of the kernel's: another CPU has changed the code, the guest runs it again */
	FUZZ_CHECK(r == EMUL_OK || r == EMUL_FAULT || r == EMUL_KERNEL || r == EMUL_UNSUPPORTED,
		   "result %d", r);
	FUZZ_CHECK(r != EMUL_KERNEL || !m.e.dirty, "groups %#x are changed", m.e.dirty);
	check_memory();
	check_state(r);
	if (r == EMUL_OK)
		check_reference();
	return 0;
}
