#include "kernel/cpuid_policy.h"

#include "arch/cpu.h"
#include "lib/string.h"

#define BITS_1(a) (1u << (a))
#define XCR0_X87 1ull
#define XCR0_SSE 2ull
#define XCR0_AVX 4ull
#define XCR0_AVX512 0xe0ull
#define FXSAVE_AND_HEADER 576u

/* Registers of a leaf that are passed on, masked; 0 in all four: the leaf reads zero. */
struct allow {
	u32 leaf, subleaf;
	u32 eax, ebx, ecx, edx;
};

enum {
	L1_ECX = BITS_1(0) | BITS_1(1) | BITS_1(9) | BITS_1(12) | BITS_1(13) | BITS_1(17) | BITS_1(19) |
		 BITS_1(20) | BITS_1(22) | BITS_1(23) | BITS_1(25) | BITS_1(26) | BITS_1(28) | BITS_1(29) |
		 BITS_1(30), /* SSE3 PCLMUL SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND */
	L1_ECX_X2APIC = BITS_1(21),
	L1_ECX_OSXSAVE = BITS_1(27),
	L1_ECX_HYPERVISOR = BITS_1(31),
	L1_ECX_PCID = BITS_1(17),
	L1_ECX_XSAVE = BITS_1(26),
	L1_ECX_AVX = BITS_1(12) | BITS_1(28) | BITS_1(29),
	L1_EDX = 0x078bfbff, /* FPU..PAT PSE36 CLFSH MMX FXSR SSE SSE2, APIC, MTRR, MCE, MCA */
	L7_EBX = BITS_1(0) | BITS_1(3) | BITS_1(5) | BITS_1(7) | BITS_1(8) | BITS_1(9) | BITS_1(10) |
		 BITS_1(18) | BITS_1(19) | BITS_1(20) | BITS_1(23) | BITS_1(24) | BITS_1(29),
		 /* FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB SHA */
	L7_EBX_AVX512 = BITS_1(16) | BITS_1(17) | BITS_1(21) | BITS_1(28) | BITS_1(30) | (int)0x80000000,
	L7_EBX_AVX = BITS_1(5),
	L7_EBX_INVPCID = BITS_1(10),
	L7_ECX = BITS_1(2) | BITS_1(8) | BITS_1(9) | BITS_1(10), /* UMIP GFNI VAES VPCLMULQDQ */
	L7_ECX_AVX = BITS_1(9) | BITS_1(10),
	L7_ECX_AVX512 = BITS_1(1) | BITS_1(6) | BITS_1(11) | BITS_1(12) | BITS_1(14),
	L7_EDX = BITS_1(4), /* FSRM */
	E1_ECX = BITS_1(0) | BITS_1(5) | BITS_1(6) | BITS_1(7) | BITS_1(8), /* LAHF ABM SSE4A MISALIGN PREFETCHW */
	E1_ECX_AVX = BITS_1(11) | BITS_1(16) | BITS_1(21), /* XOP FMA4 TBM */
	E1_EDX = 0x0183f3ff | BITS_1(11) | BITS_1(20) | BITS_1(22) | BITS_1(25) | BITS_1(26) | BITS_1(29) |
		 BITS_1(30) | (int)0x80000000, /* SYSCALL NX MMXEXT FFXSR 1G LM 3DNOW */
	E1_EDX_RDTSCP = BITS_1(27), /* the back-end switches TSC_AUX */
	E7_EDX_INVARIANT = BITS_1(8),
	E8_EBX = BITS_1(0) | BITS_1(2) | BITS_1(9), /* CLZERO XSAVEERPTR WBNOINVD */
	D1_EAX = BITS_1(0) | BITS_1(1) | BITS_1(2), /* XSAVEOPT XSAVEC XGETBV1 */
};

static const struct allow allow[] = {
	{0x00000001, 0, ~0u, 0x0000ff00, L1_ECX, L1_EDX},
	{0x00000002, 0, ~0u, ~0u, ~0u, ~0u},
	{0x00000004, 0, 0x00003fff, ~0u, ~0u, ~0u}, /* without the numbers of cores and sharers */
	{0x00000004, 1, 0x00003fff, ~0u, ~0u, ~0u},
	{0x00000004, 2, 0x00003fff, ~0u, ~0u, ~0u},
	{0x00000004, 3, 0x00003fff, ~0u, ~0u, ~0u},
	{0x00000004, 4, 0, 0, 0, 0},
	{0x00000007, 0, 0, L7_EBX, L7_ECX, L7_EDX},
	{0x80000001, 0, ~0u, 0, E1_ECX, E1_EDX},
	{0x80000002, 0, ~0u, ~0u, ~0u, ~0u},
	{0x80000003, 0, ~0u, ~0u, ~0u, ~0u},
	{0x80000004, 0, ~0u, ~0u, ~0u, ~0u},
	{0x80000005, 0, ~0u, ~0u, ~0u, ~0u},
	{0x80000006, 0, ~0u, ~0u, ~0u, ~0u},
	{0x80000007, 0, 0, 0, 0, E7_EDX_INVARIANT},
	{0x80000008, 0, 0x0000ffff, E8_EBX, 0, 0},
};

struct cpuid_policy cpuid_policy;

static struct cpuid_row *add(struct cpuid_policy *p, u32 leaf, u32 subleaf, struct cpuid r)
{
	struct cpuid_row *row;

	ASSERT(p->rows < CPUID_ROWS);
	row = &p->row[p->rows++];
	*row = (struct cpuid_row){.leaf = leaf, .subleaf = subleaf, .r = r};
	return row;
}

static struct cpuid_row *find_exact(struct cpuid_policy *p, u32 leaf, u32 subleaf)
{
	for (u32 i = 0; i < p->rows; i++)
		if (p->row[i].leaf == leaf && p->row[i].subleaf == subleaf)
			return &p->row[i];
	return NULL;
}

static void add_allowed(struct cpuid_policy *p, u32 range, u32 max, cpuid_fn host)
{
	for (u32 i = 0; i < ARRAY_SIZE(allow); i++) {
		const struct allow *a = &allow[i];
		struct cpuid r;

		if (a->leaf >> 16 != range >> 16 || a->leaf > max)
			continue;
		r = host(a->leaf, a->subleaf);
		add(p, a->leaf, a->subleaf,
		    (struct cpuid){r.eax & a->eax, r.ebx & a->ebx, r.ecx & a->ecx, r.edx & a->edx});
	}
}

/* ---- Leaf 0xD ---- */

static void add_xsave(struct cpuid_policy *p, cpuid_fn host)
{
	struct cpuid r = host(0xd, 1);
	u32 max = FXSAVE_AND_HEADER;
	struct cpuid_row *row = add(p, 0xd, 0, (struct cpuid){.eax = (u32)p->xcr0});

	row->dynamic = CPUID_XSAVE_STD;
	row = add(p, 0xd, 1, (struct cpuid){.eax = r.eax & D1_EAX});
	row->dynamic = CPUID_XSAVE_COMPACT;
	for (u32 i = 2; i < 64; i++) {
		if (!(p->xcr0 >> i & 1))
			continue;
		r = host(0xd, i);
		max = MAX(max, r.ebx + r.eax);
		add(p, 0xd, i, (struct cpuid){r.eax, r.ebx, r.ecx & 2, 0});
	}
	find_exact(p, 0xd, 0)->r.ecx = max;
}

u32 cpuid_xsave_size(const struct cpuid_policy *p, u64 xcr0, bool compact)
{
	u32 size = FXSAVE_AND_HEADER;

	for (u32 i = 0; i < p->rows; i++) {
		const struct cpuid_row *row = &p->row[i];

		if (row->leaf != 0xd || row->subleaf < 2 || !(xcr0 >> row->subleaf & 1))
			continue;
		if (!compact)
			size = MAX(size, row->r.ebx + row->r.eax);
		else
			size = (row->r.ecx & 2 ? ALIGN_UP(size, 64u) : size) + row->r.eax;
	}
	return size;
}

/* ---- Leaves that are ours, and features that depend on others ---- */

static void adjust_features(struct cpuid_policy *p, const struct cpu_facts *f)
{
	struct cpuid_row *l1 = find_exact(p, 1, 0), *l7 = find_exact(p, 7, 0), *e1 = find_exact(p, 0x80000001, 0);
	bool avx = p->xcr0 & XCR0_AVX;

	l1->dynamic = CPUID_FEATURES;
	l1->r.ebx |= 1u << 16;
	l1->r.ecx |= L1_ECX_X2APIC | L1_ECX_HYPERVISOR;
	if (!p->xcr0)
		l1->r.ecx &= ~(u32)L1_ECX_XSAVE;
	if (!avx)
		l1->r.ecx &= ~(u32)L1_ECX_AVX;
	if (e1 && !avx)
		e1->r.ecx &= ~(u32)E1_ECX_AVX;
	if (!l7)
		return;
	if (!avx) {
		l7->r.ebx &= ~(u32)L7_EBX_AVX;
		l7->r.ecx &= ~(u32)L7_ECX_AVX;
	}
	if (!(l1->r.ecx & L1_ECX_PCID))
		l7->r.ebx &= ~(u32)L7_EBX_INVPCID;
}

static void adjust_rdtscp(struct cpuid_policy *p, const struct cpu_facts *f)
{
	struct cpuid_row *e1 = find_exact(p, 0x80000001, 0);

	if (e1 && f->rdtscp)
		e1->r.edx |= E1_EDX_RDTSCP;
}

static void adjust_avx512(struct cpuid_policy *p, cpuid_fn host)
{
	struct cpuid_row *l7 = find_exact(p, 7, 0);
	struct cpuid r;

	if (!l7 || (p->xcr0 & XCR0_AVX512) != XCR0_AVX512)
		return;
	r = host(7, 0);
	l7->r.ebx |= r.ebx & (u32)L7_EBX_AVX512;
	l7->r.ecx |= r.ecx & (u32)L7_ECX_AVX512;
}

static u64 choose_xcr0(const struct cpu_facts *f)
{
	u64 x = f->xcr0_supported & (XCR0_X87 | XCR0_SSE | XCR0_AVX);

	if (!f->xsave || (x & (XCR0_X87 | XCR0_SSE)) != (XCR0_X87 | XCR0_SSE))
		return 0;
	if ((x & XCR0_AVX) && (f->xcr0_supported & XCR0_AVX512) == XCR0_AVX512 &&
	    f->xsave_size <= sizeof(((struct vcpu_state *)0)->fpu))
		x |= XCR0_AVX512;
	return x;
}

static void choose_registers(struct cpuid_policy *p)
{
	const struct cpuid l1 = find_exact(p, 1, 0)->r;
	const struct cpuid_row *row = find_exact(p, 7, 0);
	const struct cpuid l7 = row ? row->r : (struct cpuid){0}, *e1;

	p->cr4 = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
		 CR4_OSFXSR | CR4_OSXMMEXCPT;
	p->cr4 |= l7.ecx & 1u << 2 ? CR4_UMIP : 0;
	p->cr4 |= l7.ebx & 1u << 0 ? CR4_FSGSBASE : 0;
	p->cr4 |= l7.ebx & 1u << 7 ? CR4_SMEP : 0;
	p->cr4 |= l7.ebx & 1u << 20 ? CR4_SMAP : 0;
	p->cr4 |= l1.ecx & L1_ECX_PCID ? CR4_PCIDE : 0;
	p->cr4 |= l1.ecx & L1_ECX_XSAVE ? CR4_OSXSAVE : 0;
	row = find_exact(p, 0x80000001, 0);
	e1 = row ? &row->r : &l7;
	p->efer = EFER_SCE | EFER_LME | EFER_LMA;
	p->efer |= e1->edx & 1u << 20 ? EFER_NXE : 0;
	p->efer |= e1->edx & 1u << 25 ? EFER_FFXSR : 0;
}

static void add_topology(struct cpuid_policy *p)
{
	/* Every vCPU is a package of its own: shifts of 0, one logical processor a level. */
	for (u32 level = 0; level < 3; level++) {
		struct cpuid r = {.ecx = level};

		if (level < 2) {
			r.ebx = 1;
			r.ecx |= (level + 1) << 8; /* 1 = SMT, 2 = core */
		}
		add(p, 0xb, level, r)->dynamic = CPUID_TOPOLOGY;
	}
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

void cpuid_policy_build(struct cpuid_policy *p, const struct cpu_facts *f, cpuid_fn host)
{
	struct cpuid zero = host(0, 0), ext = host(0x80000000, 0);
	u32 max_ext = MIN(ext.eax, 0x80000008u);

	memset(p, 0, sizeof(*p));
	p->xcr0 = choose_xcr0(f);
	zero.eax = p->xcr0 ? 0xd : 0xb;
	add(p, 0, 0, zero);
	add_allowed(p, 0, f->max_leaf, host);
	add(p, 6, 0, (struct cpuid){.eax = 1u << 2}); /* ARAT: the timer never stops */
	add_topology(p);
	if (p->xcr0)
		add_xsave(p, host);
	add(p, CPUID_HV_BASE, 0, (struct cpuid){CPUID_HV_MAX, 0x4b4d564b, 0x564b4d56, 0x4d}); /* KVMKVMKVM */
	add(p, CPUID_HV_MAX, 0, (struct cpuid){0});
	ext.eax = max_ext;
	add(p, 0x80000000, 0, ext);
	add_allowed(p, 0x80000000, max_ext, host);
	adjust_features(p, f);
	adjust_rdtscp(p, f);
	adjust_avx512(p, host);
	if (!f->tsc_invariant && find_exact(p, 0x80000007, 0))
		find_exact(p, 0x80000007, 0)->r.edx = 0;
	choose_registers(p);
	index_rows(p);
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

static void patch(const struct cpuid_policy *p, u8 dynamic, u32 apic_id, u64 xcr0, bool osxsave, struct cpuid *out)
{
	switch (dynamic) {
	case CPUID_FEATURES:
		out->ebx |= apic_id << 24;
		out->ecx |= osxsave ? L1_ECX_OSXSAVE : 0;
		break;
	case CPUID_TOPOLOGY:
		out->edx = apic_id;
		break;
	case CPUID_XSAVE_STD:
		out->ebx = cpuid_xsave_size(p, xcr0, false);
		break;
	case CPUID_XSAVE_COMPACT:
		out->ebx = out->eax & BITS_1(1) ? cpuid_xsave_size(p, xcr0, true) : 0;
		break;
	}
}

void cpuid_policy_answer(const struct cpuid_policy *p, u32 leaf, u32 subleaf, u32 apic_id, u64 xcr0, bool osxsave,
			 struct cpuid *out)
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
