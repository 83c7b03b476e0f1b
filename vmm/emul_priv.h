/* Shared by the emulator's files only. */
#pragma once

#include "arch/cpu.h"
#include "vmm/emul.h"

/* Another vCPU won a race and nothing was changed: emul_step gives EMUL_OK, rip stays. */
#define EMUL_RETRY ((enum emul_result)(EMUL_UNSUPPORTED + 1))

/*
 * One handler per family of opcodes. A handler checks and translates everything before its first
 * effect; it returns EMUL_OK with registers, flags and e->next_rip as after the instruction.
 */
typedef enum emul_result (*emul_fn)(struct emul *e);

enum emul_access {
	EMUL_WRITE = 1,
	EMUL_FETCH = 2,
	EMUL_SYSTEM = 4, /* by the CPU itself (TSS): supervisor whatever the CPL */
	EMUL_PEEK = 8,	 /* a look from outside: no permissions, no accessed and dirty bits */
};

/* An operand in memory, translated: at most 8 bytes, so at most two pages. */
struct emul_span {
	u32 parts, bytes;
	struct {
		u64 gpa;
		u8 *host; /* NULL: MMIO */
		u32 bytes;
	} part[2];
};

/* A register or memory operand of 1, 2, 4 or 8 bytes. */
struct emul_operand {
	bool is_mem;
	u8 reg;
	u32 bytes;
	struct emul_span span;
};

static inline u64 emul_mask(u32 bytes) { return bytes == 8 ? ~0ull : BIT(bytes * 8) - 1; }
static inline bool emul_protected(const struct emul *e)
{
	return e->s->cr0 & CR0_PE && !(e->s->rflags & RFLAGS_VM);
}

/* emul.c: both return the result to hand up. */
enum emul_result emul_fault(struct emul *e, u8 vector, u32 error);
enum emul_result emul_unsupported(struct emul *e, const char *why);
/* Begins a step: mode and CPL, nothing translated, nothing changed. */
void emul_begin(struct emul *e);
/* Puts an exception into s->event. */
void emul_queue(struct emul *e, u8 vector, bool has_error, u32 error);
/* Behind a load of SS neither an interrupt nor a single step comes, behind STI no interrupt. */
void emul_shadow_ss(struct emul *e, u8 seg);
u32 emul_operand_bytes(const struct emul *e); /* even opcodes are byte-sized: 1 */
u32 emul_stack_width(const struct emul *e);   /* of the stack pointer, in bytes */

/* emul_any.c: the handler of what only emul_run emulates; NULL: as in other modes. */
emul_fn emul_any(const struct emul *e);
/* emul_integer.c: the same, of instructions that touch registers and memory only. */
emul_fn emul_integer(const struct emul *e);
/* emul_flow.c: of transfers of control, the stack and flags. */
emul_fn emul_flow(const struct emul *e);

/* emul_flow.c */
/* Up to 8 values, the first one pushed first: all or nothing. */
enum emul_result emul_push(struct emul *e, const u64 *values, u32 n, u32 bytes);
/* rsp moves at once: put it back with a fault. */
enum emul_result emul_pop(struct emul *e, u64 *values, u32 n, u32 bytes);
/* Delivers s->event through the real-mode table. Results as of emul_run. */
enum emul_result emul_deliver(struct emul *e);

/*
 * emul_segment.c. *g is what the register would hold; vector: of faults by the descriptor, EXC_GP
 * or EXC_TS.
 */
enum emul_result emul_descriptor(struct emul *e, u16 selector, u8 vector, u64 *raw);
enum emul_result emul_descriptor_write(struct emul *e, u16 selector, u64 raw);
#define TSS_BUSY BIT(41)
void emul_unpack(u16 selector, u64 raw, struct seg_state *g);
enum emul_result emul_data_segment(struct emul *e, u8 seg, u16 selector, u8 vector,
				   struct seg_state *g);
enum emul_result emul_code_segment(struct emul *e, u16 selector, u8 vector, struct seg_state *g);
enum emul_result emul_ldt(struct emul *e, u16 selector, u8 vector, struct seg_state *g);
void emul_set_segment(struct emul *e, u8 seg, const struct seg_state *g);

/* emul_walk.c: access is a set of enum emul_access. */
enum emul_result emul_walk(struct emul *e, u64 linear, u32 access, u64 *gpa);
/*
 * s->pdpte as the control registers say, which have changed. Where the table can't be read nothing
 * is mapped. False: an entry asks for what no CPU takes, and all stay as they were.
 */
bool emul_load_pdptes(struct emul *e) __must_check;

/* emul_operand.c */
/*
 * reg: reg 4..7 of 1 byte are AH..BH without REX; full: always the low bytes; 4 bytes clear the
 * upper half.
 */
u64 emul_reg_read(const struct emul *e, u8 reg, u32 bytes);
void emul_reg_write(struct emul *e, u8 reg, u32 bytes, u64 value);
u64 emul_full_read(const struct emul *e, u8 reg, u32 bytes);
void emul_full_write(struct emul *e, u8 reg, u32 bytes, u64 value);
u64 emul_effective(const struct emul *e); /* offset of the memory operand */
enum emul_result emul_linear_map(struct emul *e, u64 linear, u32 bytes, u32 access,
				 struct emul_span *sp);
/* Segment checks, then the translation of both pages, before anything is accessed. */
enum emul_result emul_map(struct emul *e, u8 seg, u64 offset, u32 bytes, u32 access,
			  struct emul_span *sp);
u64 emul_span_read(struct emul *e, const struct emul_span *sp);
void emul_span_write(struct emul *e, const struct emul_span *sp, u64 value);
enum emul_result emul_operand_rm(struct emul *e, u32 bytes, u32 access, struct emul_operand *o);
u64 emul_operand_read(struct emul *e, const struct emul_operand *o);
/* old: what the value came from; a locked write to RAM gives EMUL_RETRY when it has changed. */
enum emul_result emul_operand_write(struct emul *e, const struct emul_operand *o, u64 old,
				    u64 value, bool locked);

/* emul_alu.c: flags is RFLAGS, updated. */
enum emul_alu_op { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
enum emul_shift_op {
	SHIFT_ROL,
	SHIFT_ROR,
	SHIFT_RCL,
	SHIFT_RCR,
	SHIFT_SHL,
	SHIFT_SHR,
	SHIFT_SAL,
	SHIFT_SAR
};
u64 emul_alu(enum emul_alu_op op, u64 a, u64 b, u32 bytes, u64 *flags);
u64 emul_shift(enum emul_shift_op op, u64 a, u32 count, u32 bytes, u64 *flags);
u64 emul_inc_dec(bool dec, u64 a, u32 bytes, u64 *flags);
bool emul_condition(u8 code, u64 flags); /* low four bits of Jcc, SETcc, CMOVcc */

/* emul_string.c: MOVS CMPS STOS LODS SCAS INS OUTS; IN and OUT. */
enum emul_result emul_string(struct emul *e);
enum emul_result emul_in_out(struct emul *e);

/*
 * emul_system.c: MOV to and from control and debug registers, CLTS; RDMSR and WRMSR; LMSW,
 * XGETBV and XSETBV of 0F 01.
 */
enum emul_result emul_mov_cr(struct emul *e);
enum emul_result emul_clts(struct emul *e);
enum emul_result emul_msr(struct emul *e);
enum emul_result emul_mov_dr(struct emul *e);
enum emul_result emul_group_7(struct emul *e);
