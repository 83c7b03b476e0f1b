#include "vmm/cpuid.h"

#include "arch/cpu.h"
#include "lib/assert.h"
#include "vmm/pvclock.h"

#define BITS_1(a) (1u << (a))
#define FXSAVE_AND_HEADER 576u
#define APIC_TIMER_KHZ 1000000u

#define HV_BASE 0x40000000u
#define HV_FEATURES 0x40000001u
#define HV_TIMING 0x40000010u /* as VMware has it */
#define EXT_BASE 0x80000000u
#define EXT_MAX 0x80000008u

enum {
	L1_EBX_OWN = BITS_1(16), /* one logical processor */
	L1_ECX = BITS_1(0) | BITS_1(1) | BITS_1(9) | BITS_1(13) | BITS_1(17) | BITS_1(19) |
		 BITS_1(20) | BITS_1(22) | BITS_1(23) | BITS_1(25) | BITS_1(30),
	/* SSE3 PCLMUL SSSE3 CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES RDRAND */
	/* x2APIC, TSC deadline, hypervisor */
	L1_ECX_OWN = BITS_1(21) | BITS_1(24) | (int)BITS_1(31),
	L1_ECX_PCID = BITS_1(17),
	L1_ECX_XSAVE = BITS_1(26),
	L1_ECX_AVX = BITS_1(12) | BITS_1(28) | BITS_1(29), /* FMA AVX F16C */
	L1_EDX = 0x078bfbff,	 /* FPU..PAT PSE36 CLFSH MMX FXSR SSE SSE2, APIC, MTRR, MCE, MCA */
	L6_EAX_ARAT = BITS_1(2), /* the timer never stops */
	L7_EBX = BITS_1(0) | BITS_1(3) | BITS_1(7) | BITS_1(8) | BITS_1(9) | BITS_1(18) |
		 BITS_1(19) | BITS_1(20) | BITS_1(23) | BITS_1(24) | BITS_1(29),
	/* FSGSBASE BMI1 SMEP BMI2 ERMS RDSEED ADX SMAP CLFLUSHOPT CLWB SHA */
	L7_EBX_OWN = BITS_1(1), /* TSC_ADJUST */
	L7_EBX_AVX = BITS_1(5),
	L7_EBX_INVPCID = BITS_1(10),
	L7_ECX = BITS_1(2) | BITS_1(8),		    /* UMIP GFNI */
	L7_ECX_AVX = BITS_1(9) | BITS_1(10),	    /* VAES VPCLMULQDQ */
	L7_EDX = BITS_1(4),			    /* FSRM */
	D1_EAX = BITS_1(0) | BITS_1(1) | BITS_1(2), /* XSAVEOPT XSAVEC XGETBV1 */
	/* LAHF ABM SSE4A MISALIGN PREFETCHW */
	E1_ECX = BITS_1(0) | BITS_1(5) | BITS_1(6) | BITS_1(7) | BITS_1(8),
	E1_ECX_AVX = BITS_1(11) | BITS_1(16) | BITS_1(21), /* XOP FMA4 TBM */
	/* SYSCALL NX MMXEXT 1G RDTSCP LM 3DNOW */
	E1_EDX = 0x0183f3ff | BITS_1(11) | BITS_1(20) | BITS_1(22) | BITS_1(26) | BITS_1(27) |
		 BITS_1(29) | BITS_1(30) | (int)BITS_1(31),
	E7_EDX_INVARIANT = BITS_1(8),
	/* Linux, Documentation/virt/kvm/x86/cpuid.rst; without what waits for a page (async PF) */
	KVM_NOP_IO_DELAY = BITS_1(1),
	KVM_STEAL_TIME = BITS_1(5),
	KVM_PV_EOI = BITS_1(6),
	KVM_PV_UNHALT = BITS_1(7),
	KVM_PV_SEND_IPI = BITS_1(11),
	KVM_PV_SCHED_YIELD = BITS_1(13),
	KVM_CLOCK = BITS_1(3) | BITS_1(24),	    /* by the new MSRs; stable */
	E8_EBX = BITS_1(0) | BITS_1(2) | BITS_1(9), /* CLZERO XSAVEERPTR WBNOINVD */
};

/* What a row needs beside the CPU's own word. */
enum need { NEED_NOTHING, NEED_XSAVE, NEED_AVX, NEED_PCID, NEEDS };

/*
 * Registers of a leaf that are passed on, masked. Rows of one sub-leaf follow each other, and so do
 * a leaf's sub-leaves, of which the last row is for all beyond. Leaf 7 is the last: own bits
 * follow.
 */
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
	{NEED_NOTHING, 0x80000001, 0, {~0u, 0, E1_ECX, E1_EDX}},
	{NEED_AVX, 0x80000001, 0, {.ecx = E1_ECX_AVX}},
	{NEED_NOTHING, 0x80000002, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000003, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000004, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000005, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000006, 0, {~0u, ~0u, ~0u, ~0u}},
	{NEED_NOTHING, 0x80000008, 0, {0x0000ffff, E8_EBX, 0, 0}},
	{NEED_NOTHING, 0x00000007, 0, {0, L7_EBX, L7_ECX, L7_EDX}},
	{NEED_AVX, 0x00000007, 0, {.ebx = L7_EBX_AVX, .ecx = L7_ECX_AVX}},
	{NEED_PCID, 0x00000007, 0, {.ebx = L7_EBX_INVPCID}},
};

/* The table as it grows. */
struct build {
	struct vm_policy *p;
	u32 rows;
	u32 leaf, subleaf;	 /* of the last row */
	struct cpuid_row *first; /* the first row of that leaf */
};

static struct cpuid masked(struct cpuid r, const struct cpuid *mask)
{
	return (struct cpuid){r.eax & mask->eax, r.ebx & mask->ebx, r.ecx & mask->ecx,
			      r.edx & mask->edx};
}

static void add_row(struct build *b, u32 leaf, u32 subleaf)
{
	ASSERT(b->rows < CPUID_ROWS);
	if (b->rows && b->leaf == leaf) {
		b->first->more++;
	} else {
		b->first = &b->p->row[b->rows];
		b->p->first[leaf >> 30][leaf % CPUID_LEAVES] = (u8)(b->rows + 1);
	}
	b->leaf = leaf;
	b->subleaf = subleaf;
	b->rows++;
}

/* Adds bits to the last row when it is this sub-leaf's, else a row. */
static struct cpuid_row *add(struct build *b, u32 leaf, u32 subleaf, struct cpuid r)
{
	struct cpuid_row *row;

	if (!b->rows || b->leaf != leaf || b->subleaf != subleaf)
		add_row(b, leaf, subleaf);
	row = &b->p->row[b->rows - 1];
	row->r = (struct cpuid){row->r.eax | r.eax, row->r.ebx | r.ebx, row->r.ecx | r.ecx,
				row->r.edx | r.edx};
	return row;
}

static void add_allowed(struct build *b, const bool have[NEEDS], cpuid_fn host)
{
	u32 max = host(0, 0).eax, ext = host(EXT_BASE, 0).eax;

	for (u32 i = 0; i < ARRAY_SIZE(allow); i++)
		if (allow[i].leaf <= (allow[i].leaf >> 31 ? ext : max) && have[allow[i].need])
			add(b, allow[i].leaf, allow[i].subleaf,
			    masked(host(allow[i].leaf, allow[i].subleaf), &allow[i].mask));
}

/* Every vCPU is a package of its own: shifts of 0, one logical processor a level. */
static void add_topology(struct build *b)
{
	static const struct cpuid level[] = {
		{.ebx = 1, .ecx = 1 << 8}, /* SMT */
		{.ebx = 1, .ecx = 2 << 8}, /* core */
		{0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(level); i++)
		add(b, 0xb, i, level[i])->kind = CPUID_TOPOLOGY;
}

static void add_xsave(struct build *b, u32 xcr0, cpuid_fn host)
{
	struct cpuid avx = host(0xd, 2), sizes = {.eax = host(0xd, 1).eax & D1_EAX};

	b->p->xsave_bytes = xcr0 & XCR0_AVX ? avx.ebx + avx.eax : FXSAVE_AND_HEADER;
	add(b, 0xd, 0, (struct cpuid){.eax = xcr0, .ecx = b->p->xsave_bytes})->kind = CPUID_XSAVE;
	add(b, 0xd, 1, sizes)->kind = CPUID_XSAVE;
	if (xcr0 & XCR0_AVX)
		add(b, 0xd, 2, (struct cpuid){avx.eax, avx.ebx, 0, 0});
	add(b, 0xd, 3, (struct cpuid){0});
}

/* Who looks for KVM finds what this hypervisor has of its paravirtual ABI. */
static void add_kvm(struct build *b, const struct kinfo *clock)
{
	bool usable = pvclock_usable(clock);
	u32 features = KVM_NOP_IO_DELAY | KVM_STEAL_TIME | KVM_PV_EOI | KVM_PV_UNHALT |
		       KVM_PV_SEND_IPI | KVM_PV_SCHED_YIELD | (usable ? KVM_CLOCK : 0);
	struct cpuid timing = {.ebx = APIC_TIMER_KHZ};

	/* KVMKVMKVM */
	add(b, HV_BASE, 0,
	    (struct cpuid){usable ? HV_TIMING : HV_FEATURES, 0x4b4d564b, 0x564b4d56, 0x4d});
	add(b, HV_FEATURES, 0, (struct cpuid){.eax = features});
	if (!usable)
		return;
	timing.eax = (u32)((1000000ull << 32) / clock->tsc_mult);
	add(b, HV_TIMING, 0, timing);
}

/*
 * The TSC is a clock for guests where it is the host's own. Where a CPU does not promise that it is
 * invariant, it passed the kernel's check; the guest's stands only while the VM does.
 */
static void add_tsc(struct build *b, const struct kinfo *clock)
{
	u32 invariant = pvclock_usable(clock) ? E7_EDX_INVARIANT : 0;

	add(b, 7, 0, (struct cpuid){.ebx = L7_EBX_OWN});
	add(b, 7, 1, (struct cpuid){0});
	add(b, 0x80000007, 0, (struct cpuid){.edx = invariant});
}

u64 cpuid_build(struct vm_policy *p, cpuid_fn host, const struct kinfo *clock)
{
	struct build b = {.p = p};
	struct cpuid zero = host(0, 0), ext = host(EXT_BASE, 0), one = host(1, 0);
	bool xsave = zero.eax >= 0xd && one.ecx & L1_ECX_XSAVE;
	u32 xcr0 = xsave ? host(0xd, 0).eax & (XCR0_X87 | XCR0_SSE | XCR0_AVX) : 0;
	/* clang-format off */
	const bool have[NEEDS] = {
		[NEED_NOTHING] = true, [NEED_XSAVE] = xsave, [NEED_AVX] = xcr0 & XCR0_AVX,
		[NEED_PCID] = one.ecx & L1_ECX_PCID,
	};
	/* clang-format on */

	p->size = sizeof(*p);
	zero.eax = xsave ? 0xd : 0xb;
	ext.eax = MIN(ext.eax, EXT_MAX);
	add(&b, 0, 0, zero);
	add_kvm(&b, clock);
	add(&b, EXT_BASE, 0, ext);
	add(&b, 6, 0, (struct cpuid){.eax = L6_EAX_ARAT});
	add_topology(&b);
	if (xsave)
		add_xsave(&b, xcr0, host);
	add(&b, 1, 0, (struct cpuid){.ebx = L1_EBX_OWN, .ecx = (u32)L1_ECX_OWN})->kind =
		CPUID_FEATURES;
	add_allowed(&b, have, host);
	add_tsc(&b, clock);
	return xcr0;
}
