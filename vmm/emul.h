/*
 * The monitor's instruction emulator: carries out the one instruction at rip that the kernel could
 * not (RUN_EXIT_EMULATE): integer instructions with a memory operand, string instructions, IN and
 * OUT, and the system instructions of emul_system.c (control and debug registers, MSRs). For a CPU
 * that can't run real mode it runs it (emul_run): all integer and system instructions, and events.
 * Task switches: emul_task_switch. It knows no device and no RAM layout: the operations below do.
 */
#pragma once

#include "lib/insn_decode.h"
#include "uapi/run.h"

/* RFLAGS: the status flags; the others are in arch/cpu.h. */
enum status_flags {
	RFLAGS_CF = 1u << 0,
	RFLAGS_PF = 1u << 2,
	RFLAGS_AF = 1u << 4,
	RFLAGS_ZF = 1u << 6,
	RFLAGS_SF = 1u << 7,
	RFLAGS_OF = 1u << 11,
};

struct emul;

enum emul_result {
	EMUL_OK,       /* done, or a part of a REP or a lost race: enter the guest, it comes back */
	EMUL_FAULT,    /* the guest gets an exception, already put into s->event (and s->cr2) */
	EMUL_KERNEL,   /* e->carry_out is for the kernel; rip is at the instruction */
	EMUL_SHUTDOWN, /* emul_run: triple fault */
	EMUL_UNSUPPORTED, /* bytes, byte_count and why are for the log; the state is unchanged */
};

struct emul_ops {
	/*
	 * Host address of guest RAM gpa..gpa+bytes (never across a page), writable; NULL: not RAM.
	 */
	void *(*ram)(struct emul *e, u64 gpa, u64 bytes);
	/*
	 * size 1, 2, 4, 8; naturally aligned, or within one page byte by byte. ROM reads come here
	 * too.
	 */
	u64 (*mmio_read)(struct emul *e, u64 gpa, u32 size);
	void (*mmio_write)(struct emul *e, u64 gpa, u32 size, u64 value);
	u32 (*io_in)(struct emul *e, u16 port, u32 size); /* size 1, 2, 4 */
	void (*io_out)(struct emul *e, u16 port, u32 size, u32 value);
	/*
	 * Around an instruction that locks: on a device it reads and writes in two steps, between
	 * which no other vCPU's locked one may come. RAM needs no such help.
	 */
	void (*bus_lock)(struct emul *e, bool on);
	/*
	 * The vCPU's control registers become what s has. False: no CPU takes these, and nothing
	 * has changed.
	 */
	bool (*set_control)(struct emul *e);
	/* RDMSR and WRMSR, but of EFER. EMUL_OK, EMUL_FAULT (#GP) or EMUL_KERNEL. */
	enum emul_result (*msr)(struct emul *e, u32 msr, bool write, u64 *value);
};

/* A linear page that this step has translated already. */
struct emul_tlb {
	u64 page; /* linear, page-aligned | 1 when valid */
	u64 gpa;
	u8 *host; /* NULL: not RAM */
};

/*
 * The caller embeds it and gets at its own structure by container_of. Set s, ops, xcr0, phys_bits
 * before emul_step; s must hold the groups EMUL_GROUPS. After the step e->dirty has the groups of
 * *s to set.
 */
struct emul {
	struct vcpu_state *s;
	const struct emul_ops *ops;
	u64 xcr0;	/* what the guest may enable */
	u64 tsc_offset; /* emul_run: the guest's TSC is ours plus this */
	u8 phys_bits;	/* of the CPU's physical addresses */

	/* results */
	u32 dirty; /* enum state_group */
	u8 vector; /* EMUL_FAULT: the exception */
	bool has_error;
	u32 error;
	u64 cr2;	    /* of a page fault */
	u8 bytes[INSN_MAX]; /* what was at rip */
	u8 byte_count;
	const char *why; /* EMUL_UNSUPPORTED */
	u8 carry_out;	 /* EMUL_KERNEL: enum run_carry_out */

	bool interrupted; /* set by mmio_write: a REP goes on in another step */

	/* private, valid during a step */
	struct insn insn;
	u8 mode; /* enum insn_mode */
	u8 cpl;
	bool any;    /* emul_run: the CPU runs nothing here, so all is emulated */
	bool trap;   /* a single step is due behind the instruction */
	bool shadow; /* no interrupt comes: behind STI, MOV SS and POP SS */
	u64 next_rip;
	struct emul_tlb tlb[2]; /* for reads, for writes */
};

#define EMUL_GROUPS (STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_EVENT)

/*
 * Bytes that one step moves at most for a REP string instruction; the rest is left for the next
 * step.
 */
#define EMUL_STRING_MAX 4096u

enum emul_result emul_step(struct emul *e);

/*
 * Code in a mode that the CPU can't run: at most `steps` instructions and events, fewer when the
 * kernel must be asked: for interrupts that can come now, after HLT, and whether the CPU can go on
 * (protected mode). EMUL_OK, EMUL_KERNEL, EMUL_SHUTDOWN or EMUL_UNSUPPORTED.
 */
enum emul_result emul_run(struct emul *e, u32 steps);

/*
 * Only how long the instruction at rip is: insn.length. Needs what a step needs, results as of one.
 */
enum emul_result emul_measure(struct emul *e);

/* A switch to a 32-bit task, as the run page describes it. Results as of a step. */
enum emul_result emul_task_switch(struct emul *e, const struct run_task *t);

/* Walks the guest's page tables without side effects and permission checks. False: unmapped. */
bool emul_gva_to_gpa(struct emul *e, u64 gva, u64 *gpa_out);
