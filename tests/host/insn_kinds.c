#include "tests/host/insn_kinds.h"

#define M INSN_MODRM

/* clang-format off */
static const struct {
	u8 map, first, last, form, kind;
} known[] = {
	{INSN_MAP_1, 0x6c, 0x6f, 0, INSN_OTHER},  /* INS, OUTS */
	{INSN_MAP_1, 0x88, 0x89, M, INSN_STORE},
	{INSN_MAP_1, 0x8a, 0x8b, M, INSN_LOAD},
	{INSN_MAP_1, 0x90, 0x90, 0, INSN_OTHER},  /* PAUSE */
	{INSN_MAP_1, 0xa0, 0xa1, INSN_OF, INSN_LOAD},
	{INSN_MAP_1, 0xa2, 0xa3, INSN_OF, INSN_STORE},
	{INSN_MAP_1, 0xc6, 0xc6, M | INSN_I8, INSN_STORE_IMM},
	{INSN_MAP_1, 0xc7, 0xc7, M | INSN_IZ, INSN_STORE_IMM},
	{INSN_MAP_1, 0xe4, 0xe7, INSN_I8, INSN_OTHER}, /* IN, OUT */
	{INSN_MAP_1, 0xec, 0xef, 0, INSN_OTHER},
	{INSN_MAP_1, 0xf4, 0xf4, 0, INSN_OTHER},  /* HLT */
	{INSN_MAP_0F, 0x01, 0x01, M, INSN_OTHER}, /* VMCALL, VMMCALL */
	{INSN_MAP_0F, 0x06, 0x06, 0, INSN_CLTS},
	{INSN_MAP_0F, 0x08, 0x09, 0, INSN_OTHER}, /* INVD, WBINVD */
	{INSN_MAP_0F, 0x20, 0x20, M, INSN_CR_READ},
	{INSN_MAP_0F, 0x22, 0x22, M, INSN_CR_WRITE},
	{INSN_MAP_0F, 0x30, 0x33, 0, INSN_OTHER}, /* WRMSR, RDTSC, RDMSR, RDPMC */
	{INSN_MAP_0F, 0xa2, 0xa2, 0, INSN_OTHER}, /* CPUID */
};
/* clang-format on */

bool insn_kinds(struct insn *in, enum insn_mode mode, u8 next, u8 *form)
{
	for (u32 i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i].map != in->map || in->opcode < known[i].first ||
		    in->opcode > known[i].last)
			continue;
		*form = known[i].form;
		in->kind = known[i].kind;
		/* AMD's other name for CR8 */
		return (in->opcode & 0xfd) != 0x20 || !(in->prefixes & INSN_P_LOCK);
	}
	return false;
}
