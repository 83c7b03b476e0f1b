/* A machine for the emulator: RAM, a page of MMIO, ports, and a log of what reached the devices. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "lib/guest_rules.h"
#include "vmm/emul.h"

#define RAM_BYTES MiB(4)
#define MMIO_GPA 0x10000000ull
#define CODE 0x1000ull
#define DATA 0x2000ull

struct access {
	char kind; /* r w mmio, i o port */
	u64 at;
	u32 size;
	u64 value;
};

static struct machine {
	struct emul e;
	struct vcpu_state s;
	u8 *ram;
	struct access log[8192];
	u32 logged;
	u64 next_read;
	u64 msr;
} m;

static void logged(char kind, u64 at, u32 size, u64 value)
{
	if (m.logged < ARRAY_SIZE(m.log))
		m.log[m.logged] = (struct access){kind, at, size, value};
	m.logged++;
}

static void *op_ram(struct emul *e, u64 gpa, u64 bytes)
{
	assert_ptr_equal(e, &m.e);
	assert_true(gpa % PAGE_SIZE + bytes <= PAGE_SIZE);
	return gpa < RAM_BYTES ? m.ram + gpa : NULL;
}

static u64 op_mmio_read(struct emul *e, u64 gpa, u32 size)
{
	logged('r', gpa, size, 0);
	return m.next_read;
}

static void op_mmio_write(struct emul *e, u64 gpa, u32 size, u64 value)
{
	logged('w', gpa, size, value);
}

static u32 op_io_in(struct emul *e, u16 port, u32 size)
{
	logged('i', port, size, 0);
	return (u32)m.next_read;
}

static void op_io_out(struct emul *e, u16 port, u32 size, u32 value)
{
	logged('o', port, size, value);
}

/* Inside it the log has the accesses of a locked instruction. */
static void op_bus_lock(struct emul *e, bool on) { logged(on ? 'L' : 'U', 0, 0, 0); }

/* As vmm/vcpu.c and the kernel check them. */
static const struct guest_bits may = {.cr4 = CR4_PAE | CR4_PCIDE | CR4_PGE | CR4_OSXSAVE | CR4_DE,
				      .efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE};

static bool op_set_control(struct emul *e)
{
	const struct vcpu_state *s = e->s;

	return !(s->cr0 & ~(u64)CR0_DEFINED) && !cr_broken(&may, s->cr0, s->cr4, s->efer) &&
	       !(s->cr3 >> 40) && s->cr8 <= 15;
}

/* 0x10 can be read and written, 0x800 is the kernel's. */
static enum emul_result op_msr(struct emul *e, u32 msr, bool write, u64 *value)
{
	if (msr == 0x800)
		return EMUL_KERNEL;
	if (msr != 0x10)
		return EMUL_FAULT;
	if (write)
		m.msr = *value;
	*value = m.msr;
	return EMUL_OK;
}

static const struct emul_ops ops = {op_ram,    op_mmio_read, op_mmio_write,  op_io_in,
				    op_io_out, op_bus_lock,  op_set_control, op_msr};

static u64 rng_state = 88172645463325252ull;

static inline u64 rng(void)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return rng_state * 0x2545f4914f6cdd1dull;
}

static void put64(u64 gpa, u64 v) { memcpy(m.ram + gpa, &v, 8); }
static inline void put32(u64 gpa, u32 v) { memcpy(m.ram + gpa, &v, 4); }
static inline u64 get64(u64 gpa)
{
	u64 v;
	memcpy(&v, m.ram + gpa, 8);
	return v;
}

static void reset_machine(void)
{
	memset(&m.s, 0, sizeof(m.s));
	memset(m.ram, 0, RAM_BYTES);
	memset(&m.e, 0, sizeof(m.e));
	m.logged = 0;
	m.next_read = 0;
	m.e.s = &m.s;
	m.e.ops = &ops;
	m.e.phys_bits = 40;
	m.s.rip = CODE;
	m.s.rflags = 2;
}

/*
 * 4-level tables at 0x10000: linear = physical for RAM (4 KiB pages) and one MMIO page, user and
 * writable.
 */
static inline void enter_64(void)
{
	reset_machine();
	put64(0x10000, 0x11007);
	put64(0x11000, 0x12007);
	put64(0x12000, 0x13007);
	put64(0x12000 + (MMIO_GPA >> 21) * 8, MMIO_GPA | 0x87);
	for (u64 i = 0; i < 512; i++)
		put64(0x13000 + i * 8, i << 12 | 7);
	m.s.cr3 = 0x10000;
	m.s.cr0 = CR0_PE | CR0_PG | CR0_WP;
	m.s.cr4 = CR4_PAE;
	m.s.efer = EFER_LME | EFER_LMA | EFER_NXE;
	m.s.seg[SEG_CS].attr = SEG_ATTR_L | SEG_ATTR_P | SEG_ATTR_S | 11;
	m.s.seg[SEG_SS].attr = SEG_ATTR_P | SEG_ATTR_S | 3;
}

static inline void enter_flat(bool protected, bool wide)
{
	reset_machine();
	m.s.cr0 = protected ? CR0_PE : 0;
	for (u32 i = 0; i <= SEG_GS; i++)
		m.s.seg[i] = (struct seg_state){.attr = (u16)(SEG_ATTR_P | SEG_ATTR_S |
							      (wide ? SEG_ATTR_DB : 0) |
							      (i == SEG_CS ? 11 : 3)),
						.limit = wide ? 0xffffffff : 0xffff};
}

static inline enum emul_result step(const void *bytes, u32 n)
{
	memcpy(m.ram + CODE, bytes, n);
	return emul_step(&m.e);
}

#define STEP(...) step((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

#define ARITH (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static int machine_setup(void **state)
{
	m.ram = aligned_alloc(PAGE_SIZE, RAM_BYTES);
	return !m.ram;
}

static int machine_teardown(void **state)
{
	free(m.ram);
	return 0;
}
