/*
 * A guest that does anything: operations drawn by a seeded generator run in a scratch page, in
 * ring 0 and ring 3 and in code of 64, 32 and 16 bits. Each ends by a fault of its own or by the
 * watchdog, then everything that it may have changed is put back and the next one follows.
 */
#pragma once

#include "guest.h"

/* ---- Random numbers and values worth trying: values.c ---- */
void rnd_seed(u64 seed);
u64 rnd(void);
u32 below(u32 n);   /* 0 to n - 1 */
bool rarely(u32 n); /* true once in n: what would end the VM too often otherwise */
u64 any_value(void);
ulong any_address(void); /* RAM, devices, holes, page borders, tables of tricks, non-canonical */
u16 any_port(bool write);
u32 any_msr(bool write);
u32 any_icr(void);
bool port_is_deadly(u16 port); /* what ends the VM by design: the exit port, resets, ACPI sleep */

/* ---- Memory map of the guest, all below 16 MiB of RAM ---- */
static inline bool is_own(ulong a) { return a >> 20 == 1; } /* code and data of the guest itself */
#define SCRATCH 0x400000ul	 /* 2 MiB, user: the operations' stack, target of their writes */
#define SCRATCH_SUPER 0x600000ul /* 2 MiB, supervisor */
#define CODE 0x800000ul		 /* 64 KiB of 2 MiB, user; code runs nowhere else */
#define CODE_BYTES 0x10000u
#define STACK (SCRATCH + 0x80000)
#define HOLE 0x19600000ul /* a page that is no memory, and there again in each GiB below 4 */
#define VGA 0xa0000ul	  /* to VGA_END no memory either, and mapped only at VGA_ALIAS */
#define VGA_END 0x100000ul
#define VGA_ALIAS (HOLE + 0x10000)
#define TRICKS 0x8000000000ul /* 512 GiB whose tables hold anything */

#define MSR_EFER 0xc0000080u
#define EFER_NXE (1ull << 11)

/* ---- Running code: world.c, launch.asm ---- */
struct context { /* in the order that launch() pops */
	ulong ds;
	ulong r15, r14, r13, r12, r11, r10, r9, r8, di, si, bp, bx, dx, cx, ax;
	ulong ip, cs, flags, sp, ss;
};

enum mode { R0_64, R0_32, R0_16, R3_64, R3_32, R3_16, MODES };
enum ended_by { ENDED_NMI = 2, ENDED_BY_ITSELF = -1 }; /* else the exception's vector */

extern u8 gdt_pointer[10], idt_pointer[10]; /* of LGDT and LIDT */
#define WATCHDOG_PIN 2			    /* of the I/O APIC */
void world_init(void);
/*
 * Runs code at CODE + offset in that mode, then puts the processor's state back. Returns enum
 * ended_by.
 */
long world_run(struct context *c, enum mode mode, u32 offset);
void world_repair(void); /* what takes a few exits: tables, debug registers, EFER */
void world_breakpoints_off(void);
void console_put_back(void); /* the UART, which may be in any state */
void world_renew(void);	  /* that, and what takes many: MSRs, interrupt controllers, the watchdog */
extern u32 world_endless; /* operations that the watchdog ended */
void watchdog_arm(void);  /* the local APIC too, which passes it on */
bool watchdog_stands(void); /* it did not come for long: something stopped it */
void tricks_change(void);   /* one entry of the tables behind TRICKS becomes something else */

/* ---- The operations: ops.c ---- */
enum kind { PORT, MSR, CONTROL, MEMORY, APIC, CALL, BYTES, OTHER, KINDS };
extern bool tracing; /* prints each operation */
extern bool calm;    /* IF stays set, TF and breakpoints off */
extern u32 ops_done[KINDS];
void ops_init(void);
void ops_one(void);
