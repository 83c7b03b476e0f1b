/* Instructions that C has no word for, ring 0 only. */
#pragma once

#include "arch/cpu.h"
#include "arch/cpuid.h"
#include "hv/slow.h"

/* What LGDT, LIDT, SGDT and SIDT move. */
struct table_register {
	u16 limit;
	u64 base;
} __packed;

static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	SLOW_OP();
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

static inline void wrmsr(u32 msr, u64 v)
{
	SLOW_OP();
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

/* clang-format off */
#define OUT_OF(insn, type, how, ...) \
	({ type v_; __asm__ volatile(insn : how(v_) : __VA_ARGS__); v_; })
#define SLOW_INTO(insn, v) do { SLOW_OP(); __asm__ volatile(insn : : "r"(v) : "memory"); } while (0)
/* clang-format on */

static inline u64 read_cr0(void) { return OUT_OF("mov %%cr0, %0", u64, "=r"); }
static inline u64 read_cr2(void) { return OUT_OF("mov %%cr2, %0", u64, "=r"); }
static inline u64 read_cr3(void) { return OUT_OF("mov %%cr3, %0", u64, "=r"); }
static inline u64 read_cr4(void) { return OUT_OF("mov %%cr4, %0", u64, "=r"); }
static inline void write_cr0(u64 v) { SLOW_INTO("mov %0, %%cr0", v); }
static inline void write_cr2(u64 v) { SLOW_INTO("mov %0, %%cr2", v); }
static inline void write_cr3(u64 v) { SLOW_INTO("mov %0, %%cr3", v); }
static inline void write_cr4(u64 v) { SLOW_INTO("mov %0, %%cr4", v); }
static inline void invlpg(u64 va) { SLOW_INTO("invlpg (%0)", va); }

static inline u64 rdtsc(void) { return __builtin_ia32_rdtsc(); }

static inline u8 inb(u16 port) { return OUT_OF("inb %1, %0", u8, "=a", "Nd"(port)); }
static inline u16 inw(u16 port) { return OUT_OF("inw %1, %0", u16, "=a", "Nd"(port)); }
static inline u32 inl(u16 port) { return OUT_OF("inl %1, %0", u32, "=a", "Nd"(port)); }
static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }

static inline void cpu_relax(void) { __asm__ volatile("pause" : : : "memory"); }
static inline void irq_disable(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void stac(void) { __asm__ volatile("stac" : : : "memory"); }
static inline void clac(void) { __asm__ volatile("clac" : : : "memory"); }

static inline void xsetbv(u32 reg, u64 v)
{
	SLOW_OP();
	__asm__ volatile("xsetbv" : : "c"(reg), "a"((u32)v), "d"((u32)(v >> 32)));
}

/* With microcode for it, the CPU clears the buffers that MDS and RFDS read. */
static inline void verw(void)
{
	static const u16 selector = SEL_KDATA;

	__asm__ volatile("verw %0" : : "m"(selector) : "cc");
}

static inline u64 xgetbv(u32 reg)
{
	u32 lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(reg));
	return (u64)hi << 32 | lo;
}

static inline void write_dr0_3(const u64 v[4])
{
	SLOW_OPS(4);
	__asm__ volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
			 :
			 : "r"(v[0]), "r"(v[1]), "r"(v[2]), "r"(v[3]));
}
