#include "kernel/cpuid_policy.h"

#include "arch/cpu.h"
#include "lib/string.h"

#define BITS_1(a) (1u << (a))
#define FXSAVE_AND_HEADER 576u

enum {
	L1_EBX_OWN = BITS_1(16), /* one logical processor */
	L1_ECX = BITS_1(0) | BITS_1(1) | BITS_1(9) | BITS_1(13) | BITS_1(17) | BITS_1(19) |
		 BITS_1(20) | BITS_1(22) | BITS_1(23) | BITS_1(25) | BITS_1(30),
	/* SSE3 PCLMUL SSSE3 CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES RDRAND */
	L1_ECX_OWN = BITS_1(21) | (int)BITS_1(31), /* x2APIC, hypervisor */
	L1_ECX_PCID = BITS_1(17),
	L1_ECX_XSAVE = BITS_1(26),
	L1_ECX_OSXSAVE = BITS_1(27),
	L1_ECX_AVX = BITS_1(12) | BITS_1(28) | BITS_1(29), /* FMA AVX F16C */
	L1_EDX = 0x078bfbff,	 /* FPU..PAT PSE36 CLFSH MMX FXSR SSE SSE2, APIC, MTRR, MCE, MCA */
	L6_EAX_ARAT = BITS_1(2), /* the timer never stops */
	L7_EBX = BITS_1(0) | BITS_1(3) | BITS_1(7) | BITS_1(8) | BITS_1(9) | BITS_1(18) |
		 BITS_1(19) | BITS_1(20) | BITS_1(23) | BITS_1(24) | BITS_1(29),
	/* FSGSBASE BMI1 SMEP BMI2 ERMS RDSEED ADX SMAP CLFLUSHOPT CLWB SHA */
	L7_EBX_AVX = BITS_1(5),
	L7_EBX_INVPCID = BITS_1(10),
	L7_ECX = BITS_1(2) | BITS_1(8),		    /* UMIP GFNI */
	L7_ECX_AVX = BITS_1(9) | BITS_1(10),	    /* VAES VPCLMULQDQ */
	L7_EDX = BITS_1(4),			    /* FSRM */
	D1_EAX = BITS_1(0) | BITS_1(1) | BITS_1(2), /* XSAVEOPT XSAVEC XGETBV1 */
	/* LAHF ABM SSE4A MISALIGN PREFETCHW */
	E1_ECX = BITS_1(0) | BITS_1(5) | BITS_1(6) | BITS_1(7) | BITS_1(8),
	E1_ECX_AVX = BITS_1(11) | BITS_1(16) | BITS_1(21), /* XOP FMA4 TBM */
	E1_EDX = 0x0183f3ff | BITS_1(11) | BITS_1(20) | BITS_1(22) | BITS_1(25) | BITS_1(26) |
		 BITS_1(29) | BITS_1(30) |
		 (int)BITS_1(31),   /* SYSCALL NX MMXEXT FFXSR 1G LM 3DNOW */
	E1_EDX_RDTSCP = BITS_1(27), /* the back-end switches TSC_AUX */
	E7_EDX_INVARIANT = BITS_1(8),
	E8_EBX = BITS_1(0) | BITS_1(2) | BITS_1(9), /* CLZERO XSAVEERPTR WBNOINVD */
};

/* What a row needs beside the CPU's own word. */
enum need { NEED_NOTHING, NEED_XSAVE, NEED_AVX, NEED_PCID, NEED_RDTSCP, NEED_INVARIANT_TSC };

/* Registers of a leaf that are passed on, masked; rows of one leaf follow each other. */
static const struct {
	enum need need;
	u32 leaf, subleaf;
	struct cpuid mask;
} allow[] = {
	{NEED_NOTHING, 0x00000001, 0, {~0u, 0x0000ff00, L1_ECX, L1_EDX}},
	{NEED_XSAVE, 0x00000001, 0, {.ecx = L1_ECX_XSAVE}},
	{NEED_AVX, 0x00000001, 0, {.ecx = L1_ECX_AVX}},
	{NEED_NOTHING, 0x00000002, 0, {~0u, ~0u, ~0u, ~0u}},
	/* without the numbers of cores and sharers */
	{NEED_NOTHING, 0x00000004, 0, {0x00003fff, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x00000004, 1, {0x00003fff, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x00000004, 2, {0x00003fff, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x00000004, 3, {0x00003fff, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x00000004, 4, {0}},
	{NEED_NOTHING, 0x00000007, 0, {0, L7_EBX, L7_ECX, L7_EDX}},
	{NEED_AVX, 0x00000007, 0, {.ebx = L7_EBX_AVX, .ecx = L7_ECX_AVX}},
	{NEED_PCID, 0x00000007, 0, {.ebx = L7_EBX_INVPCID}},
	{NEED_NOTHING, 0x80000001, 0, {~0u, 0, E1_ECX, E1_EDX}},
	{NEED_AVX, 0x80000001, 0, {.ecx = E1_ECX_AVX}},
	{NEED_RDTSCP, 0x80000001, 0, {.edx = E1_EDX_RDTSCP}},
	{NEED_NOTHING, 0x80000002, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000003, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000004, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000005, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000006, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_INVARIANT_TSC, 0x80000007, 0, {.edx = E7_EDX_INVARIANT}},
	{NEED_NOTHING, 0x80000008, 0, {0x0000ffff, E8_EBX, 0, 0}},
};

/* Control bits that a guest may set when CPUID shows it the feature. */
static const struct {
	u32 leaf;
	struct cpuid feature; /* one bit */
	u64 cr4, efer;
} gates[] = {
	{0x00000001, {.ecx = L1_ECX_PCID}, CR4_PCIDE, 0},
	{0x00000001, {.ecx = L1_ECX_XSAVE}, CR4_OSXSAVE, 0},
	{0x00000007, {.ebx = BITS_1(0)}, CR4_FSGSBASE, 0},
	{0x00000007, {.ebx = BITS_1(7)}, CR4_SMEP, 0},
	{0x00000007, {.ebx = BITS_1(20)}, CR4_SMAP, 0},
	{0x00000007, {.ecx = BITS_1(2)}, CR4_UMIP, 0},
	{0x80000001, {.edx = BITS_1(20)}, 0, EFER_NXE},
	{0x80000001, {.edx = BITS_1(25)}, 0, EFER_FFXSR},
};

struct cpuid_policy cpuid_policy;

static struct cpuid masked(struct cpuid r, const struct cpuid *mask)
{
	return (struct cpuid){r.eax & mask->eax, r.ebx & mask->ebx, r.ecx & mask->ecx,
			      r.edx & mask->edx};
}

/* Adds bits to the last row when it is this leaf's, else a row. */
static struct cpuid_row *add(struct cpuid_policy *p, u32 leaf, u32 subleaf, struct cpuid r)
{
	struct cpuid_row *row = p->rows ? &p->row[p->rows - 1] : NULL;

	if (!row || row->leaf != leaf || row->subleaf != subleaf) {
		ASSERT(p->rows < CPUID_ROWS);
		row = &p->row[p->rows++];
		*row = (struct cpuid_row){.leaf = leaf, .subleaf = subleaf};
	}
	row->r = (struct cpuid){row->r.eax | r.eax, row->r.ebx | r.ebx, row->r.ecx | r.ecx,
				row->r.edx | r.edx};
	return row;
}

static void add_allowed(struct cpuid_policy *p, const struct cpu_facts *f, u64 xcr0, cpuid_fn host)
{
	/* clang-format off */
	const bool have[] = {
		[NEED_NOTHING] = true,	      [NEED_XSAVE] = f->xsave,
		[NEED_AVX] = xcr0 & XCR0_AVX, [NEED_PCID] = f->pcid,
		[NEED_RDTSCP] = f->rdtscp,    [NEED_INVARIANT_TSC] = f->tsc_invariant,
	};
	/* clang-format on */

	for (u32 i = 0; i < ARRAY_SIZE(allow); i++)
		if (allow[i].leaf <= (allow[i].leaf >> 31 ? f->max_ext_leaf : f->max_leaf) &&
		    have[allow[i].need])
			add(p, allow[i].leaf, allow[i].subleaf,
			    masked(host(allow[i].leaf, allow[i].subleaf), &allow[i].mask));
}

/* Every vCPU is a package of its own: shifts of 0, one logical processor a level. */
static void add_topology(struct cpuid_policy *p)
{
	static const struct cpuid level[] = {
		{.ebx = 1, .ecx = 1 << 8},     /* SMT */
		{.ebx = 1, .ecx = 2 << 8 | 1}, /* core */
		{.ecx = 2},
	};

	for (u32 i = 0; i < ARRAY_SIZE(level); i++)
		add(p, 0xb, i, level[i])->dynamic = CPUID_TOPOLOGY;
}

static void index_rows(struct cpuid_policy *p)
{
	for (u32 i = p->rows; i-- > 0;) {
		struct cpuid_row *row = &p->row[i];
		u32 group = row->leaf >> 30;

		row->subleaves = i + 1 < p->rows && p->row[i + 1].leaf == row->leaf;
		p->first[group][row->leaf % CPUID_GROUP] = (u8)(i + 1);
	}
}

static void choose_bits(const struct cpuid_policy *p, struct guest_bits *bits)
{
	bits->cr4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE |
		    CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	bits->efer = EFER_SCE | EFER_LME | EFER_LMA;
	for (u32 i = 0; i < ARRAY_SIZE(gates); i++) {
		const struct cpuid_row *row = cpuid_policy_find(p, gates[i].leaf, 0);
		struct cpuid r = row ? masked(row->r, &gates[i].feature) : (struct cpuid){0};

		if (!(r.ebx | r.ecx | r.edx))
			continue;
		bits->cr4 |= gates[i].cr4;
		bits->efer |= gates[i].efer;
	}
}

void cpuid_policy_build(struct cpuid_policy *p, struct guest_bits *bits, const struct cpu_facts *f,
			cpuid_fn host)
{
	struct cpuid zero = host(0, 0), ext = host(0x80000000, 0), avx = host(0xd, 2);

	memset(p, 0, sizeof(*p));
	bits->xcr0 = f->xsave ? f->xcr0_supported & (XCR0_X87 | XCR0_SSE | XCR0_AVX) : XCR0_X87;
	p->xsave_bytes = bits->xcr0 & XCR0_AVX ? avx.ebx + avx.eax : FXSAVE_AND_HEADER;
	zero.eax = f->xsave ? 0xd : 0xb;
	ext.eax = MIN(ext.eax, 0x80000008u);
	add(p, 0, 0, zero);
	/* KVMKVMKVM */
	add(p, CPUID_HV_BASE, 0, (struct cpuid){CPUID_HV_MAX, 0x4b4d564b, 0x564b4d56, 0x4d});
	add(p, CPUID_HV_MAX, 0, (struct cpuid){0});
	add(p, 0x80000000, 0, ext);
	add(p, 6, 0, (struct cpuid){.eax = L6_EAX_ARAT});
	add_topology(p);
	if (f->xsave) {
		struct cpuid d1 = {.eax = host(0xd, 1).eax & D1_EAX};

		add(p, 0xd, 0, (struct cpuid){.eax = (u32)bits->xcr0, .ecx = p->xsave_bytes})
			->dynamic = CPUID_XSAVE;
		add(p, 0xd, 1, d1)->dynamic = CPUID_XSAVE;
		add(p, 0xd, 2,
		    bits->xcr0 & XCR0_AVX ? (struct cpuid){avx.eax, avx.ebx, 0, 0}
					  : (struct cpuid){0});
	}
	add(p, 1, 0, (struct cpuid){.ebx = L1_EBX_OWN, .ecx = (u32)L1_ECX_OWN})->dynamic =
		CPUID_FEATURES;
	add_allowed(p, f, bits->xcr0, host);
	index_rows(p);
	choose_bits(p, bits);
}

/* ---- Answers ---- */

const struct cpuid_row *cpuid_policy_find(const struct cpuid_policy *p, u32 leaf, u32 subleaf)
{
	u32 group = leaf >> 30, low = leaf & 0x3fffffff;
	const struct cpuid_row *row;
	u8 first;

	if (unlikely(group > 2 || low >= CPUID_GROUP))
		return NULL;
	first = p->first[group][low];
	if (!first)
		return NULL;
	row = &p->row[first - 1];
	if (!row->subleaves)
		return row;
	for (; row->subleaf != subleaf; row++)
		if (!row->subleaves)
			return NULL;
	return row;
}

static void patch(const struct cpuid_policy *p, u8 dynamic, u32 apic_id, u64 xcr0, bool osxsave,
		  struct cpuid *out)
{
	switch (dynamic) {
	case CPUID_FEATURES:
		out->ebx |= apic_id << 24;
		out->ecx |= osxsave ? L1_ECX_OSXSAVE : 0;
		break;
	case CPUID_TOPOLOGY: out->edx = apic_id; break;
	case CPUID_XSAVE: /* standard and compacted alike: AVX follows the header */
		out->ebx = xcr0 & XCR0_AVX ? p->xsave_bytes : FXSAVE_AND_HEADER;
		break;
	}
}

void cpuid_policy_answer(const struct cpuid_policy *p, u32 leaf, u32 subleaf, u32 apic_id, u64 xcr0,
			 bool osxsave, struct cpuid *out)
{
	const struct cpuid_row *row = cpuid_policy_find(p, leaf, subleaf);

	if (!row) {
		*out = (struct cpuid){0};
		/* Levels beyond the last still echo the sub-leaf and the id. SDM 2, "CPUID". */
		if (leaf == 0xb)
			*out = (struct cpuid){.ecx = subleaf & 0xff, .edx = apic_id};
		return;
	}
	*out = row->r;
	if (row->dynamic)
		patch(p, row->dynamic, apic_id, xcr0, osxsave, out);
}
