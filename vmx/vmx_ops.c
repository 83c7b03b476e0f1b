/* The callbacks of struct hv_ops that have no file of their own: CPU, life of a vCPU, entry. */
#include "vmx/vmx.h"

#include "arch/msr.h"
#include "hv/cpu.h"

/*
 * The longest run without an exit, where the CPU can count it: Bochs 2.7 holds back host interrupts
 * as long as a guest runs that was entered with IF clear.
 */
#define LONGEST_RUN_NS 2000000ull
#define PLE_GAP_CYCLES 128
#define PLE_WINDOW_CYCLES 4096
/* #AC and #DB can fault for ever while they are delivered: each must pass through the kernel. */
#define EXCEPTIONS (BIT(EXC_DB) | BIT(EXC_AC) | BIT(EXC_MC))

/* ---- Switching on: SDM 3, "Enabling and Entering VMX Operation" ---- */

static struct vmx_cpu vmx_cpus[MAX_CPUS];

static const u32 vmx_shared_msr[SHARED_MSRS] = {
	[SHARED_STAR] = MSR_STAR,
	[SHARED_LSTAR] = MSR_LSTAR,
	[SHARED_CSTAR] = MSR_CSTAR,
	[SHARED_SFMASK] = MSR_SFMASK,
	[SHARED_KERNEL_GS] = MSR_KERNEL_GS_BASE,
	[SHARED_TSC_AUX] = MSR_TSC_AUX,
};

static void choose_controls(const struct cpu_facts *f)
{
	vmx_negotiate(f, &vmx_caps); /* without an error: the probe has asked for it */
	vmx_fallbacks();
	vmx_bitmap_init();
	pt_ept_format.max_leaf = vmx_caps.ept_leaf;
}

/* False: the firmware has locked it off. It stays as it is until the next reset. */
static bool unlock(void)
{
	u64 control;

	rdmsr_safe(MSR_FEATURE_CONTROL, &control);
	if (!(control & FEATURE_CONTROL_LOCK)) {
		wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCK);
		control = rdmsr(MSR_FEATURE_CONTROL);
	}
	return control & FEATURE_CONTROL_VMX;
}

static void read_host_msrs(struct vmx_cpu *vc)
{
	for (u32 i = 0; i < SHARED_MSRS; i++)
		if (i != SHARED_TSC_AUX || cpu_facts.rdtscp)
			vc->host_msr[i] = rdmsr(vmx_shared_msr[i]);
}

/* Called when the system-call MSRs of this CPU have their final values. */
static int vmx_cpu_enable(struct cpu *c)
{
	struct vmx_cpu *vc = &vmx_cpus[c->id];
	u64 hpa;
	u32 *region;
	bool ok;

	if (!c->id) /* the boot CPU, before all others */
		choose_controls(&cpu_facts);
	if (!unlock())
		return -E_NODEV;
	region = kmem_alloc(kernel_quota, PAGE_SIZE);
	if (!region)
		return -E_NOMEM;
	*region = (u32)(cpu_facts.vmx_msr[0] & VMX_BASIC_REVISION);
	hpa = kva_to_hpa(region).v;
	write_cr4(read_cr4() | CR4_VMXE);
	__asm__ volatile("vmxon %1" : "=@cca"(ok) : "m"(hpa) : "memory");
	if (!ok) {
		write_cr4(read_cr4() & ~(u64)CR4_VMXE);
		kmem_free(kernel_quota, region, PAGE_SIZE);
		return -E_NODEV;
	}
	vc->next_vpid = VPID_MAX + 1; /* the first entry flushes all */
	read_host_msrs(vc);
	__asm__ volatile("sgdt %0" : "=m"(vc->gdtr));
	return 0;
}

/* ---- vCPU ---- */

/* For the first vCPU; the others find it. */
static int map_apic_page(struct vm *vm)
{
	int r = 0;

	spin_lock(&vm->space.lock);
	if (!vm->apic_page)
		vm->apic_page = kmem_alloc(vm->obj.quota, PAGE_SIZE);
	r = vm->apic_page ? pt_map(&vm->space.pt, APIC_DEFAULT_BASE, kva_to_hpa(vm->apic_page),
				   PAGE_SIZE, PROT_R | PROT_W)
			  : -E_NOMEM;
	spin_unlock(&vm->space.lock);
	return r;
}

static int vmx_vcpu_init(struct vcpu *v)
{
	struct vmx_vcpu *s = to_vmx(v);

	*(u32 *)v->block = (u32)(cpu_facts.vmx_msr[0] & VMX_BASIC_REVISION);
	s->eptp = pt_root_hpa(&v->vm->space.pt) | EPTP_WRITE_BACK | EPTP_4_LEVELS |
		  (vmx_caps.ept_ad ? EPTP_ACCESSED_DIRTY : 0);
	s->last_cpu = -1;
	v->lapic.by_cpu = vmx_caps.apicv;
	v->lapic.posting = vmx_caps.posted;
	return vmx_caps.apicv ? map_apic_page(v->vm) : 0;
}

/* ---- The VMCS ---- */

struct field_value {
	u32 field; /* enum vmcs_id */
	u64 value;
};

static void write_fields(const struct field_value *f, u32 n)
{
	for (u32 i = 0; i < n; i++)
		vmx_write(f[i].field, f[i].value);
}

/* VMCLEAR leaves them as they were; those that the CPU lacks stay so. */
static void zero_fields(void)
{
	for (u32 i = 0; i < VMCS_NUMBERS; i++)
		if (!VMCS_READ_ONLY(VMCS_NTH(i)))
			vmx_write(VMCS_NTH(i), 0);
}

/* What stays as it is for the life of the VMCS. */
static void write_controls(struct vmx_vcpu *s)
{
	const void *apic_page = s->vcpu.vm->apic_page;
	u64 ns = clock_ns(), longest = clock_to_tsc(ns + LONGEST_RUN_NS) - clock_to_tsc(ns);
	const struct field_value f[] = {
		{VMCS_ID_PIN_CONTROLS, vmx_caps.pin},
		{VMCS_ID_PROC_CONTROLS, vmx_caps.proc},
		{VMCS_ID_PROC2_CONTROLS, vmx_caps.proc2 & ~(u32)PROC2_APIC_ACCESSES},
		{VMCS_ID_EXIT_CONTROLS, vmx_caps.exit},
		{VMCS_ID_ENTRY_CONTROLS, vmx_caps.entry},
		{VMCS_ID_EXCEPTION_BITMAP, EXCEPTIONS},
		{VMCS_ID_MSR_BITMAP, vmx_msr_bitmap(false).v},
		{VMCS_ID_POSTED_VECTOR, VLAPIC_NOTIFY},
		{VMCS_ID_POSTED_DESCRIPTOR, kva_to_hpa(&s->vcpu.lapic.posted).v},
		{VMCS_ID_APIC_ACCESS_PAGE, apic_page ? kva_to_hpa(apic_page).v : 0},
		{VMCS_ID_VIRTUAL_APIC_PAGE, kva_to_hpa(s->vcpu.lapic.page).v},
		{VMCS_ID_EPT_POINTER, s->eptp},
		{VMCS_ID_LINK_POINTER, ~0ull},
		{VMCS_ID_PREEMPTION_TIMER, longest >> vmx_caps.timer_rate},
		{VMCS_ID_PLE_GAP, PLE_GAP_CYCLES},
		{VMCS_ID_PLE_WINDOW, PLE_WINDOW_CYCLES},
		{VMCS_ID_CR0_MASK, ~VMX_CR0_GUEST_OWNED},
		{VMCS_ID_CR4_MASK, ~VMX_CR4_GUEST_OWNED},
		{VMCS_ID_GUEST_PAT, PAT_RESET},
		{VMCS_ID_HOST_CS_SELECTOR, SEL_KCODE},
		{VMCS_ID_HOST_SS_SELECTOR, SEL_KDATA},
		{VMCS_ID_HOST_TR_SELECTOR, SEL_TSS},
		{VMCS_ID_HOST_RIP, (u64)vmx_exit_point},
	};

	zero_fields();
	write_fields(f, ARRAY_SIZE(f));
	s->proc = vmx_caps.proc;
}

/* What of the host depends on the CPU; the address space is always the owner's. */
static void write_host(void)
{
	struct table_register gdtr, idtr;
	const u64 *tss;

	__asm__ volatile("sgdt %0\n\tsidt %1" : "=m"(gdtr), "=m"(idtr));
	tss = (const u64 *)(gdtr.base + SEL_TSS);
	const struct field_value f[] = {
		{VMCS_ID_HOST_CR0, read_cr0() | CR0_TS},
		{VMCS_ID_HOST_CR3, read_cr3()},
		{VMCS_ID_HOST_CR4, read_cr4()},
		{VMCS_ID_HOST_EFER, rdmsr(MSR_EFER)},
		{VMCS_ID_HOST_PAT, rdmsr(MSR_PAT)},
		{VMCS_ID_HOST_GS_BASE, (u64)this_cpu()},
		{VMCS_ID_HOST_TR_BASE,
		 (tss[0] >> 16 & 0xffffff) | (tss[0] >> 56) << 24 | tss[1] << 32},
		{VMCS_ID_HOST_GDTR_BASE, gdtr.base},
		{VMCS_ID_HOST_IDTR_BASE, idtr.base},
	};

	write_fields(f, ARRAY_SIZE(f));
}

static void vmclear(struct vmx_vcpu *s)
{
	SLOW_OP();
	__asm__ volatile("vmclear %0" : : "m"(s->vcpu.block_hpa) : "cc", "memory");
	s->launched = false;
}

/* A VMCS is current on the CPU where the vCPU is loaded, and clear when it is loaded nowhere. */
static void vmx_vcpu_load(struct vcpu *v)
{
	struct vmx_vcpu *s = to_vmx(v);
	s32 id = (s32)this_cpu()->id, last = s->last_cpu;

	if (last < 0)
		vmclear(s);
	SLOW_OP();
	__asm__ volatile("vmptrld %0" : : "m"(v->block_hpa) : "cc", "memory");
	if (last < 0)
		write_controls(s);
	if (last != id) {
		write_host();
		s->last_cpu = id;
		s->vpid_generation = 0;
		s->moved = true;
	}
	s->cpu = &vmx_cpus[id];
	if (s->vpid_generation != s->cpu->vpid_generation) /* others ran here meanwhile */
		s->flush = true;
	/* Translations that another vCPU made here, with its APIC off, don't know the page. */
	if (v->vm->apic_page_left && s->proc2 & PROC2_APIC_ACCESSES)
		s->moved = true;
}

static void vmx_vcpu_unload(struct vcpu *v)
{
	struct vmx_vcpu *s = to_vmx(v);

	vmx_msrs_out(s);
	vmclear(s);
}

/* ---- Shared MSRs ---- */

static bool have(u32 i) { return i != SHARED_TSC_AUX || cpu_facts.rdtscp; }

static __attribute__((noinline)) void msrs_in(struct vmx_vcpu *s)
{
	const u64 *msr = vmx_private(s)->msr, *host = s->cpu->host_msr;

	s->msrs_in = true;
	if (cpu_facts.spec & SPEC_L1D) /* ring 3 or another guest may have run */
		wrmsr(MSR_FLUSH_CMD, 1);
	for (u32 i = 0; i < SHARED_MSRS; i++)
		if (msr[i] != host[i] && have(i))
			wrmsr(vmx_shared_msr[i], msr[i]);
}

/* All that ring 3 could see. The guest writes KERNEL_GS_BASE without an exit. */
void vmx_msrs_out(struct vmx_vcpu *s)
{
	const struct vmx_cpu *c = s->cpu;
	u64 *msr = vmx_private(s)->msr;

	if (!s->msrs_in)
		return;
	s->msrs_in = false;
	SLOW_OP();
	__asm__ volatile("lgdt %0" : : "m"(c->gdtr)); /* ring 3 names nothing behind it */
	msr[SHARED_KERNEL_GS] = rdmsr(MSR_KERNEL_GS_BASE);
	for (u32 i = 0; i < SHARED_MSRS; i++)
		if (msr[i] != c->host_msr[i] && have(i))
			wrmsr(vmx_shared_msr[i], c->host_msr[i]);
}

static void vmx_vcpu_rest(struct vcpu *v) { vmx_msrs_out(to_vmx(v)); }

/* ---- Entry ---- */

static void registers_in(struct vmx_vcpu *s)
{
	const struct vcpu_regs *r = &s->vcpu.priv->regs;

	if (s->rip != r->rip)
		vmcs_write64(VMCS_GUEST_RIP, r->rip);
	if (s->rsp != r->gpr[GPR_RSP])
		vmcs_write64(VMCS_GUEST_RSP, r->gpr[GPR_RSP]);
	if (s->rflags != r->rflags)
		vmcs_write64(VMCS_GUEST_RFLAGS, r->rflags);
	if (read_cr2() != r->cr2)
		write_cr2(r->cr2);
	/*
	 * The guest reaches DR0-3 only through exits, so they matter only while a breakpoint is on.
	 */
	if (s->breakpoints)
		write_dr0_3(r->dr);
}

static void registers_out(struct vmx_vcpu *s)
{
	struct vcpu_regs *r = &s->vcpu.priv->regs;

	r->rip = s->rip = vmcs_read64(VMCS_GUEST_RIP);
	r->gpr[GPR_RSP] = s->rsp = vmcs_read64(VMCS_GUEST_RSP);
	r->rflags = s->rflags = vmcs_read64(VMCS_GUEST_RFLAGS);
	r->cr2 = read_cr2();
}

static bool vmx_enter(struct vcpu *v)
{
	struct vmx_vcpu *s = to_vmx(v);
	bool entered, taken;
	u32 reason;

	if (unlikely(s->real)) {
		v->exit.reason = HV_EXIT_UNENTERABLE;
		return vmx_event_take(s);
	}
	if (!s->msrs_in)
		msrs_in(s);
	vmx_tlb_prepare(s);
	vmx_event_prepare(s);
	registers_in(s);
	if (unlikely(cpu_facts.spec & SPEC_BUFFERS))
		verw();
	SLOW_OP();
	entered = vmx_switch(&v->priv->regs, &s->host_rsp, s->launched);
	reason = likely(entered) ? vmcs_read32(VMCS_EXIT_REASON) : EXIT_ENTRY_FAILED;
	registers_out(s); /* what the VMCS has by now, also when nothing was entered */
	taken = vmx_event_complete(s, reason);
	if (likely(entered))
		vmx_exit_decode(s, reason);
	else
		v->exit = (struct hv_exit){.reason = HV_EXIT_FAIL_ENTRY,
					   .number = vmcs_read32(VMCS_VM_INSTRUCTION_ERROR)};
	return taken;
}

const struct hv_ops vmx_ops = {
	.name = "vmx",
	.vcpu_size = sizeof(struct vmx_vcpu),
	.nested_format = &pt_ept_format,
	.probe = vmx_probe,
	.features = vmx_features,
	.cpu_enable = vmx_cpu_enable,
	.vcpu_init = vmx_vcpu_init,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_unload = vmx_vcpu_unload,
	.vcpu_rest = vmx_vcpu_rest,
	.enter = vmx_enter,
	.get_state = vmx_get_state,
	.set_state = vmx_set_state,
	.read_mode = vmx_read_mode,
	.offer_irq = vmx_offer_irq,
	.inject = vmx_inject,
	.can_inject = vmx_can_inject,
	.want_window = vmx_want_window,
	.end_shadow = vmx_end_shadow,
	.record = vmx_record,
};
