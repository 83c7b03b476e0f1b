/* What the CPU offers, and switching AMD-V on. AMD APM 2, "Enabling SVM", CPUID Fn8000_000A. */
#include "svm/svm.h"

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/x86.h"
#include "lib/fmt.h"

struct svm_cpu svm_cpus[MAX_CPUS];

bool svm_probe(const struct cpu_facts *f, const char **why)
{
	*why = !f->svm ? "the CPU does not offer AMD-V"
	       : f->svm_locked_off
		       ? "AMD-V is switched off by the firmware; enable SVM in its set-up"
	       : !f->svm_npt		 ? "the CPU's AMD-V has no nested paging"
	       : f->signature >> 20 == 1 ? "it is AMD family 10h, whose erratum 383 a guest can use"
	       : f->svm_asids < 2 ? "the CPU's AMD-V has no address-space identifier for guests"
				  : NULL;
	return !*why;
}

void svm_features(char *buf, size_t size)
{
	const struct cpu_facts *f = &cpu_facts;

	fmt_snprintf(buf, size, "npt%s%s%s%s", f->svm_nrip ? " nrip-save" : "",
		     f->svm_flush_by_asid ? " flush-by-asid" : "",
		     f->svm_vmcb_clean ? " vmcb-clean" : "",
		     f->svm_pause_filter ? " pause-filter" : "");
}

/*
 * Called when GS base, TR, LDTR and the system-call MSRs of this CPU have their final values: they
 * are saved here once, and every world switch loads them again.
 */
int svm_cpu_enable(struct cpu *c)
{
	struct svm_cpu *sc = &svm_cpus[c->id];
	u64 vm_cr;
	u8 *area;

	if (!c->id) /* the boot CPU, before all others */
		svm_bitmap_init();
	rdmsr_safe(MSR_VM_CR, &vm_cr); /* Bochs 2.7 has no such register */
	if (vm_cr & VM_CR_SVMDIS) {
		wrmsr(MSR_VM_CR, vm_cr & ~VM_CR_SVMDIS);
		if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS) /* locked */
			return -E_NODEV;
	}
	/* what VMRUN saves of the host, and the page for VMLOAD */
	area = kmem_alloc(kernel_quota, PAGE_SIZE << 1);
	if (!area)
		return -E_NOMEM;
	sc->host_hpa = kva_to_hpa(area + PAGE_SIZE);
	sc->asid_generation = 1; /* no vCPU has an ASID of it */
	/* entries from before us: the first entry flushes all */
	sc->next_asid = svm_max_asid() + 1;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, kva_to_hpa(area).v);
	__asm__ volatile("vmsave %0" : : "a"(sc->host_hpa.v) : "memory");
	return 0;
}
