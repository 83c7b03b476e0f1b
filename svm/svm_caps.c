/* What the CPU offers, and switching AMD-V on. AMD APM 2, "Enabling SVM", CPUID Fn8000_000A. */
#include "svm/svm.h"

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "lib/fmt.h"
#include "mm/kmem.h"

struct svm_caps svm_caps;
struct svm_cpu svm_cpus[MAX_CPUS];

bool svm_probe(const struct cpu_facts *f, const char **why)
{
	const char *no = NULL;

	if (!f->svm)
		no = "the CPU does not offer AMD-V";
	else if (f->svm_locked_off)
		no = "AMD-V is switched off by the firmware; enable SVM in its set-up";
	else if (!f->svm_npt)
		no = "the CPU's AMD-V has no nested paging";
	else if (f->svm_asids < 2)
		no = "the CPU's AMD-V has no address-space identifier for guests";
	*why = no;
	return !no;
}

static u64 guest_cr4_mask(const struct cpu_facts *f)
{
	u64 m = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE |
		CR4_OSFXSR | CR4_OSXMMEXCPT;

	m |= f->umip ? CR4_UMIP : 0;
	m |= f->fsgsbase ? CR4_FSGSBASE : 0;
	m |= f->pcid ? CR4_PCIDE : 0;
	m |= f->xsave ? CR4_OSXSAVE : 0;
	m |= f->smep ? CR4_SMEP : 0;
	m |= f->smap ? CR4_SMAP : 0;
	m |= f->pku ? CR4_PKE : 0;
	return m;
}

int svm_init(const struct cpu_facts *f)
{
	svm_caps = (struct svm_caps){
		.nrip = f->svm_nrip,
		.decode_assists = f->svm_decode_assists,
		.flush_by_asid = f->svm_flush_by_asid,
		.vmcb_clean = f->svm_vmcb_clean,
		.pause_filter = f->svm_pause_filter,
		.max_asid = f->svm_asids - 1,
		.cr4_mask = guest_cr4_mask(f),
		.efer_mask = EFER_SCE | EFER_LME | EFER_LMA | EFER_FFXSR | (f->nx ? EFER_NXE : 0),
		.phys_bits = f->phys_bits,
		.xsave = f->xsave,
		.rdtscp = f->rdtscp,
	};
	svm_bitmap_init();
	return 0;
}

void svm_features(char *buf, size_t size)
{
	const struct {
		bool on;
		const char *name;
	} f[] = {
		{true, "npt"},
		{svm_caps.nrip, "nrip-save"},
		{svm_caps.decode_assists, "decode-assists"},
		{svm_caps.flush_by_asid, "flush-by-asid"},
		{svm_caps.vmcb_clean, "vmcb-clean"},
		{svm_caps.pause_filter, "pause-filter"},
	};
	size_t n = 0;

	for (u32 i = 0; i < ARRAY_SIZE(f); i++)
		if (f[i].on && n < size)
			n += (size_t)fmt_snprintf(buf + n, size - n, "%s%s", n ? " " : "", f[i].name);
}

/*
 * Called when GS base, TR, LDTR and the system-call MSRs of this CPU have their final values: they are
 * saved here once, and every world switch loads them again.
 */
int svm_cpu_enable(struct cpu *c)
{
	struct svm_cpu *sc = &svm_cpus[c->id];

	if (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS)
		return -E_NODEV;
	sc->hsave = kmem_pages_alloc(NULL, 0);
	sc->host = kmem_pages_alloc(NULL, 0);
	if (!sc->hsave || !sc->host)
		goto fail;
	sc->host_hpa = kva_to_hpa(sc->host);
	sc->asid_generation = 0;
	sc->next_asid = svm_caps.max_asid + 1; /* entries from before us: the first entry flushes all */
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, kva_to_hpa(sc->hsave).v);
	if (svm_caps.rdtscp)
		sc->host_tsc_aux = rdmsr(MSR_TSC_AUX);
	__asm__ volatile("vmsave %0" : : "a"(sc->host_hpa.v) : "memory");
	return 0;
fail:
	if (sc->hsave)
		kmem_pages_free(NULL, sc->hsave, 0);
	if (sc->host)
		kmem_pages_free(NULL, sc->host, 0);
	sc->hsave = sc->host = NULL;
	return -E_NOMEM;
}

void svm_cpu_disable(struct cpu *c)
{
	struct svm_cpu *sc = &svm_cpus[c->id];

	if (!sc->hsave)
		return;
	wrmsr(MSR_VM_HSAVE_PA, 0);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_SVME);
	kmem_pages_free(NULL, sc->hsave, 0);
	kmem_pages_free(NULL, sc->host, 0);
	sc->hsave = sc->host = NULL;
}
