/* What guests may set in CR4, EFER and XCR0. */
#include "hv/vendor.h"

struct guest_bits guest_bits_of(const struct cpu_facts *f)
{
	struct guest_bits b = {
		.cr4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE |
		       CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT,
		.efer = EFER_SCE | EFER_LME | EFER_LMA | (f->nx ? EFER_NXE : 0),
		.xcr0 = XCR0_X87,
	};

	b.cr4 |= (f->pcid ? CR4_PCIDE : 0) | (f->fsgsbase ? CR4_FSGSBASE : 0);
	b.cr4 |= (f->smep ? CR4_SMEP : 0) | (f->smap ? CR4_SMAP : 0) | (f->umip ? CR4_UMIP : 0);
	if (f->xsave) {
		b.cr4 |= CR4_OSXSAVE;
		b.xcr0 |= f->xcr0_supported & (XCR0_SSE | XCR0_AVX);
	}
	return b;
}
