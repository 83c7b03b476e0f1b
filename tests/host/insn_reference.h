/*
 * Zydis as the reference for insn_decode: what both accept has the same length, kind and operand.
 */
#pragma once

#include <Zydis/Zydis.h>

#include "hv/exit_insn.h"
#include "tests/host/insn_kinds.h"
#include "vmm/insn_forms.h"

/* The monitor's forms, and few that tell what kind an instruction is of. */
static const insn_form_fn insn_forms[2] = {insn_any, insn_kinds};

static ZydisDecoder reference_decoder[3];
static const enum insn_mode reference_modes[3] = {INSN_MODE_16, INSN_MODE_32, INSN_MODE_64};

static inline void reference_init(void)
{
	ZydisDecoderInit(&reference_decoder[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&reference_decoder[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	ZydisDecoderInit(&reference_decoder[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	for (int i = 0; i < 3; i++)
		ZydisDecoderEnableMode(&reference_decoder[i], ZYDIS_DECODER_MODE_KNC, ZYAN_FALSE);
}

struct reference {
	ZydisDecodedInstruction in;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* m: index of reference_modes. */
static inline bool reference_decode(u32 m, const u8 *b, u32 n, struct reference *r)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&reference_decoder[m], b, n, &r->in, r->op));
}

static inline bool reference_is_vector(const struct reference *r)
{
	return r->in.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX ||
	       r->in.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	       r->in.encoding == ZYDIS_INSTRUCTION_ENCODING_XOP;
}

/* Must our decoder accept it? Branches with an operand-size prefix are where the vendors differ. */
static inline bool reference_is_ours(const struct reference *r)
{
	return r->in.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
	       r->in.opcode_map <= ZYDIS_OPCODE_MAP_0F3A &&
	       r->in.meta.category != ZYDIS_CATEGORY_COND_BR &&
	       r->in.meta.category != ZYDIS_CATEGORY_CALL &&
	       r->in.meta.category != ZYDIS_CATEGORY_UNCOND_BR;
}

static inline u8 reference_gpr(ZydisRegister r)
{
	ZyanI8 id = ZydisRegisterGetId(r);

	return r == ZYDIS_REGISTER_NONE || r == ZYDIS_REGISTER_RIP || r == ZYDIS_REGISTER_EIP
		       ? INSN_NO_REG
		       : (u8)id;
}

/* Of the operands of a move. */
static inline u32 reference_size(const struct insn *in) { return in->opcode & 1 ? in->op_size : 1; }

/* The memory operand of the moves that a caller relies on. */
static inline bool reference_same_memory(const struct insn *in, const struct reference *r)
{
	for (int i = 0; i < r->in.operand_count_visible; i++) {
		const ZydisDecodedOperand *o = &r->op[i];

		if (o->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (o->size != reference_size(in) * 8u)
			return false;
		u64 mask = in->addr_size == 8 ? ~0ull : (1ull << in->addr_size * 8) - 1;

		if (((u64)o->mem.disp.value & mask) != ((u64)in->disp & mask) ||
		    r->in.address_width != in->addr_size * 8)
			return false;
		bool rip = o->mem.base == ZYDIS_REGISTER_RIP || o->mem.base == ZYDIS_REGISTER_EIP;

		if (rip != in->rip_relative)
			return false;
		if (reference_gpr(o->mem.base) != in->base ||
		    reference_gpr(o->mem.index) != in->index)
			return false;
		if (in->index != INSN_NO_REG && o->mem.scale && o->mem.scale != in->scale)
			return false;
		return o->mem.segment - ZYDIS_REGISTER_ES == in->seg;
	}
	return false;
}

static inline bool reference_same_register(const struct insn *in, const struct reference *z)
{
	for (int i = 0; i < z->in.operand_count_visible; i++) {
		const ZydisDecodedOperand *o = &z->op[i];

		if (o->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return in->kind == INSN_STORE_IMM &&
			       (u64)in->imm << (64 - reference_size(in) * 8) ==
				       (u64)o->imm.value.u << (64 - reference_size(in) * 8);
		if (o->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		ZydisRegister r = o->reg.value;
		bool high = r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH;

		if (r >= ZYDIS_REGISTER_AL && r <= ZYDIS_REGISTER_BL)
			return in->reg == r - ZYDIS_REGISTER_AL;
		if (high)
			return in->reg == r - ZYDIS_REGISTER_AH + 4;
		if (r >= ZYDIS_REGISTER_SPL && r <= ZYDIS_REGISTER_R15B)
			return in->reg == r - ZYDIS_REGISTER_SPL + 4;
		return ZydisRegisterGetId(r) == in->reg && (o->size == in->op_size * 8u);
	}
	return false;
}

static inline bool reference_is_class(const ZydisDecodedOperand *o, ZydisRegisterClass c)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER && ZydisRegisterGetClass(o->reg.value) == c;
}

/*
 * The kind that the reference's instruction is of; INSN_OTHER where it is not one that a caller
 * asks for.
 */
static inline enum insn_kind reference_kind(const struct reference *r)
{
	const ZydisDecodedOperand *to = &r->op[0], *from = &r->op[1];

	switch (r->in.mnemonic) {
	case ZYDIS_MNEMONIC_CLTS: return INSN_CLTS;
	case ZYDIS_MNEMONIC_MOV:
		if (reference_is_class(to, ZYDIS_REGCLASS_CONTROL))
			return INSN_CR_WRITE;
		if (reference_is_class(from, ZYDIS_REGCLASS_CONTROL))
			return INSN_CR_READ;
		if (reference_is_class(to, ZYDIS_REGCLASS_SEGMENT) ||
		    reference_is_class(from, ZYDIS_REGCLASS_SEGMENT))
			return INSN_OTHER;
		if (from->type == ZYDIS_OPERAND_TYPE_MEMORY)
			return INSN_LOAD;
		if (to->type == ZYDIS_OPERAND_TYPE_MEMORY)
			return from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? INSN_STORE_IMM
									  : INSN_STORE;
		return INSN_OTHER;
	default: return INSN_OTHER;
	}
}

/* MOV to and from CR: the numbers of both registers. */
static inline bool reference_same_control(const struct insn *in, const struct reference *r)
{
	bool write = in->kind == INSN_CR_WRITE;

	if (in->kind == INSN_OTHER || in->kind > INSN_CR_READ)
		return true;
	return ZydisRegisterGetId(r->op[!write].reg.value) == in->reg &&
	       ZydisRegisterGetId(r->op[write].reg.value) == in->rm;
}

/* The kernel's own decoder: what it accepts the reference does too, and both say the same of it. */
static inline const char *reference_differs_at_exit(const u8 *b, u32 n)
{
	struct exit_insn in;
	struct reference r;

	if (!exit_insn_decode(b, n, &in))
		return NULL;
	if (!reference_decode(2, b, n, &r)) /* a prefix that the instruction does not bear */
		return NULL;
	if (in.length != r.in.length)
		return "length at an exit";
	if (in.access == ACCESS_NONE)
		return NULL;
	bool load = in.access == ACCESS_LOAD;

	if (r.in.mnemonic != ZYDIS_MNEMONIC_MOV || r.op[load].type != ZYDIS_OPERAND_TYPE_MEMORY ||
	    r.op[load].size != 32)
		return "access at an exit";
	if (in.access == ACCESS_STORE_IMM)
		return (u32)r.op[1].imm.value.u == in.imm ? NULL : "immediate at an exit";
	return reference_gpr(r.op[!load].reg.value) == in.reg ? NULL : "register at an exit";
}

/*
 * NULL: what both say does not differ. strict: ours must know every legacy instruction; kinds: and
 * tell of what kind it is.
 */
static inline const char *reference_differs(bool strict, bool kinds, const struct insn *in,
					    bool ours, const struct reference *r, bool theirs)
{
	if (theirs && !ours)
		return strict && reference_is_ours(r) ? "refused" : NULL;
	if (!ours || !theirs)
		return NULL;
	if (reference_is_vector(r))
		return "vector instruction";
	if (in->length != r->in.length)
		return "length";
	if (kinds && reference_kind(r) != INSN_OTHER && in->kind != reference_kind(r))
		return "kind";
	if (!reference_same_control(in, r))
		return "control or debug register";
	if (in->kind >= INSN_LOAD && in->has_mem &&
	    (!reference_same_memory(in, r) || !reference_same_register(in, r)))
		return "operand";
	return NULL;
}
