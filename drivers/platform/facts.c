#include "hv/facts.h"

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/x86.h"
#include "lib/string.h"
#include "uapi/abi.h"

struct cpu_facts cpu_facts;

/* CPUID only up to the highest leaf that the CPU has; else zeros. */
static struct cpuid leaf(const struct cpu_facts *f, u32 n)
{
	u32 max = n & 0x80000000 ? f->max_ext_leaf : f->max_leaf;

	return n <= max ? cpuid(n, 0) : (struct cpuid){0};
}

static bool bit(u32 reg, u32 n) { return reg >> n & 1; }

static void read_names(struct cpu_facts *f)
{
	struct cpuid r = cpuid(0, 0);
	u32 vendor[3] = {r.ebx, r.edx, r.ecx};

	f->max_leaf = r.eax;
	r = cpuid(0x80000000, 0);
	f->max_ext_leaf = r.eax >= 0x80000000 ? r.eax : 0;
	memcpy(f->vendor, vendor, 12);
	f->signature = leaf(f, 1).eax;
}

/* Intel SDM 3 "Detecting Hardware Multi-Threading Support"; AMD APM 3, leaf 8000_001E. */
static u8 core_shift(const struct cpu_facts *f)
{
	struct cpuid topology = leaf(f, 0xb), compute_unit = leaf(f, 0x8000001e);
	u32 threads = 1 + (compute_unit.ebx >> 8 & 0xff);
	u8 shift = 0;

	if ((topology.ecx >> 8 & 0xff) == 1) /* threads */
		return topology.eax & 31;
	while (1u << shift < threads)
		shift++;
	return shift;
}

static void read_features(struct cpu_facts *f)
{
	struct cpuid l1 = leaf(f, 1), l7 = leaf(f, 7);
	struct cpuid e1 = leaf(f, 0x80000001), e7 = leaf(f, 0x80000007), e8 = leaf(f, 0x80000008);

	f->vmx = bit(l1.ecx, 5);
	f->pcid = bit(l1.ecx, 17);
	f->x2apic = bit(l1.ecx, 21);
	f->xsave = bit(l1.ecx, 26) && f->max_leaf >= 0xd;
	f->xcr0_supported = f->xsave ? cpuid(0xd, 0).eax : 0;
	f->tcg = bit(l1.ecx, 31) && cpuid(0x40000000, 0).ebx == 0x54474354; /* "TCGT" */
	f->pge = bit(l1.edx, 13);
	f->fsgsbase = bit(l7.ebx, 0);
	f->smep = bit(l7.ebx, 7);
	f->invpcid = bit(l7.ebx, 10);
	f->smap = bit(l7.ebx, 20);
	f->umip = bit(l7.ecx, 2);
	f->svm = bit(e1.ecx, 2);
	f->syscall = bit(e1.edx, 11);
	f->nx = bit(e1.edx, 20);
	f->page_1g = bit(e1.edx, 26);
	f->rdtscp = bit(e1.edx, 27);
	f->tsc_invariant = bit(e7.edx, 8);
	f->spec_offered = (bit(l7.edx, 26) || bit(e8.ebx, 12) ? SPEC_IBPB : 0) |
			  (bit(l7.edx, 28) ? SPEC_L1D : 0) | (bit(l7.edx, 10) ? SPEC_BUFFERS : 0);
	if (bit(l7.edx, 29))
		rdmsr_safe(MSR_ARCH_CAPABILITIES, &f->arch_capabilities);
	/* whoever has VT-x or AMD-V has DAZ, and some an exception mask for misaligned SSE */
	f->mxcsr_mask = 0xffff | (u32)bit(e1.ecx, 7) << 17;
	f->fpu_leaks = f->svm && !bit(e8.ebx, 2);
	f->core_shift = core_shift(f);
	f->phys_bits = e8.eax ? (u8)e8.eax : 36;
}

static void read_vmx(struct cpu_facts *f)
{
	u64 control;

	if (!f->vmx)
		return;
	rdmsr_safe(MSR_FEATURE_CONTROL, &control);
	f->vmx_locked_off = control & FEATURE_CONTROL_LOCK && !(control & FEATURE_CONTROL_VMX);
	for (u32 i = 0; i < VMX_MSRS; i++)
		rdmsr_safe(MSR_VMX_BASIC + i, &f->vmx_msr[i]);
}

static void read_svm(struct cpu_facts *f)
{
	struct cpuid r = leaf(f, 0x8000000a);
	u64 vm_cr;

	if (!f->svm)
		return;
	rdmsr_safe(MSR_VM_CR, &vm_cr); /* Bochs 2.7 has AMD-V without it: never switched off */
	f->svm_locked_off = vm_cr & VM_CR_SVMDIS && vm_cr & VM_CR_LOCK;
	f->svm_asids = r.ebx;
	f->svm_npt = bit(r.edx, 0);
	f->svm_nrip = bit(r.edx, 3);
	f->svm_vmcb_clean = bit(r.edx, 5);
	f->svm_flush_by_asid = bit(r.edx, 6);
	f->svm_pause_filter = bit(r.edx, 10);
}

void facts_read(struct cpu_facts *f)
{
	memset(f, 0, sizeof(*f));
	read_names(f);
	read_features(f);
	read_vmx(f);
	read_svm(f);
}
