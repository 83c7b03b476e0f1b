/*
 * Which defences against speculation are used. Intel, "Speculative Execution Side Channel
 * Mitigations" and IA32_ARCH_CAPABILITIES in SDM 4; AMD, "Indirect Branch Control Extension".
 */
#include "kernel/options.h"

enum arch_capability {
	RDCL_NO = 1ull << 0,
	SKIP_L1DFL_VMENTRY = 1ull << 3,
	MDS_NO = 1ull << 5,
	TAA_NO = 1ull << 8,
	RFDS_CLEAR = 1ull << 28,
};

/* clang-format off */
static const struct {
	u32 defence;
	u64 needless, needed; /* IA32_ARCH_CAPABILITIES: all of these; any of those, which win */
} rules[] = {
	{SPEC_L1D, RDCL_NO, 0},
	{SPEC_L1D, SKIP_L1DFL_VMENTRY, 0},
	{SPEC_BUFFERS, MDS_NO | TAA_NO, RFDS_CLEAR},
};
/* clang-format on */

u32 spec_choose(const struct cpu_facts *f, enum spec_option option)
{
	u32 chosen = f->spec_offered;

	if (option == SPEC_OFF)
		return 0;
	if (option == SPEC_ON) /* VERW is an instruction everywhere */
		return chosen | SPEC_BUFFERS;
	for (u32 i = 0; i < ARRAY_SIZE(rules); i++)
		if ((f->arch_capabilities & rules[i].needless) == rules[i].needless &&
		    !(f->arch_capabilities & rules[i].needed))
			chosen &= ~rules[i].defence;
	return chosen;
}
