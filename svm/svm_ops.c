/* The AMD-V back-end as the kernel sees it: life of VM and vCPU, and the world switch. */
#include "svm/svm.h"

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/up.h"
#include "hv/x86.h"
#include "mm/kmem.h"

#define PAUSE_FILTER_COUNT 3000
#define DR7_ENABLE_MASK 0xffu /* L0-3, G0-3 */

/* ---- VM ---- */

static int svm_vm_init(struct vm *vm)
{
	struct svm_vm *s = to_svm_vm(vm);

	s->msrpm = kmem_pages_alloc(vm->obj.quota, SVM_MSRPM_ORDER);
	if (!s->msrpm)
		return -E_NOMEM;
	s->msrpm_hpa = kva_to_hpa(s->msrpm);
	svm_msrpm_init(s->msrpm);
	return 0;
}

static void svm_vm_fini(struct vm *vm)
{
	struct svm_vm *s = to_svm_vm(vm);

	if (s->msrpm)
		kmem_pages_free(vm->obj.quota, s->msrpm, SVM_MSRPM_ORDER);
	s->msrpm = NULL;
}

static void svm_msr_pass(struct vm *vm, u32 msr, bool read, bool write)
{
	svm_msrpm_pass(to_svm_vm(vm)->msrpm, msr, read, write);
}

static void svm_npt_flush(struct vm *vm) { __atomic_fetch_add(&vm->npt_epoch, 1, __ATOMIC_SEQ_CST); }

/* ---- vCPU ---- */

static void intercepts_init(struct vmcb *b)
{
	b->intercept_cr_write = 1u << 0 | 1u << 4;
	b->intercept_dr_read = b->intercept_dr_write = 0xffff;
	/* #AC and #DB can fault for ever while they are delivered: each must pass through here. */
	b->intercept_exc = INTERCEPT_EXC_DB | INTERCEPT_EXC_AC | INTERCEPT_EXC_MC;
	b->intercept1 = INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_INIT | INTERCEPT_RDPMC | INTERCEPT_CPUID |
			INTERCEPT_RSM | INTERCEPT_INVD | INTERCEPT_HLT | INTERCEPT_INVLPGA | INTERCEPT_IOIO |
			INTERCEPT_MSR | INTERCEPT_SHUTDOWN;
	b->intercept2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE |
			INTERCEPT_STGI | INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_WBINVD |
			INTERCEPT_MONITOR | INTERCEPT_MWAIT | INTERCEPT_MWAIT_ARMED | INTERCEPT_XSETBV |
			INTERCEPT_RDPRU;
	if (svm_caps.pause_filter) {
		b->intercept1 |= INTERCEPT_PAUSE;
		b->pause_filter_count = PAUSE_FILTER_COUNT;
	}
}

static u32 private_pages(void)
{
	size_t bytes = sizeof(struct vcpu_private) + fpu_area_bytes();

	return 1 + (u32)(ALIGN_UP(bytes, PAGE_SIZE) / PAGE_SIZE);
}

/* The control block holds guest registers: it stands with them in the owner's private slot. */
static int svm_vcpu_init(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	s->as = this_cpu()->aspace;
	s->vmcb = kpriv_alloc(s->as, private_pages(), &s->vmcb_hpa);
	if (!s->vmcb)
		return -E_NOMEM;
	v->priv = (struct vcpu_private *)((u8 *)s->vmcb + PAGE_SIZE);
	s->last_cpu = -1;
	intercepts_init(s->vmcb);
	s->vmcb->iopm_base = svm_iopm().v;
	s->vmcb->msrpm_base = to_svm_vm(v->vm)->msrpm_hpa.v;
	s->vmcb->nested_ctl = NESTED_NP_ENABLE;
	s->vmcb->nested_cr3 = pt_root_hpa(&v->vm->npt);
	s->vmcb->int_ctl = V_INTR_MASKING;
	svm_reset(s);
	fpu_init_area(v);
	return 0;
}

static void svm_vcpu_fini(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (s->vmcb)
		kpriv_free(s->as, s->vmcb, private_pages());
	s->vmcb = NULL;
	v->priv = NULL;
}

static void svm_vcpu_load(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	s32 id = (s32)this_cpu()->id;

	if (s->last_cpu != id) { /* that CPU's ASIDs and cached control blocks mean nothing here */
		s->last_cpu = id;
		s->asid_generation = 0;
		s->vmcb->clean = 0;
	}
	if (svm_caps.rdtscp)
		wrmsr(MSR_TSC_AUX, s->tsc_aux);
	fpu_load(v);
}

static void svm_vcpu_unload(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	fpu_unload(v);
	if (svm_caps.rdtscp) {
		s->tsc_aux = rdmsr(MSR_TSC_AUX);
		wrmsr(MSR_TSC_AUX, svm_cpus[this_cpu()->id].host_tsc_aux);
	}
}

static void svm_set_tsc(struct vcpu *v, u64 offset)
{
	to_svm(v)->vmcb->tsc_offset = offset;
	svm_dirty(to_svm(v), CLEAN_I);
}

/* ---- Entry ---- */

static void registers_in(struct svm_vcpu *s)
{
	const struct vcpu_regs *r = &s->vcpu.priv->regs;
	struct vmcb *b = s->vmcb;

	b->rax = r->gpr[GPR_RAX];
	b->rsp = r->gpr[GPR_RSP];
	b->rip = r->rip;
	b->rflags = r->rflags;
	if (b->cr2 != r->cr2) {
		b->cr2 = r->cr2;
		svm_dirty(s, CLEAN_CR2);
	}
	if (b->dr6 != r->dr6) {
		b->dr6 = r->dr6;
		svm_dirty(s, CLEAN_DR);
	}
	/* The guest reaches DR0-3 only through exits, so they matter only while a breakpoint is on. */
	if (b->dr7 & DR7_ENABLE_MASK)
		for (u32 i = 0; i < 4; i++)
			write_dr(i, r->dr[i]);
}

static void registers_out(struct svm_vcpu *s)
{
	struct vcpu_regs *r = &s->vcpu.priv->regs;
	const struct vmcb *b = s->vmcb;

	r->gpr[GPR_RAX] = b->rax;
	r->gpr[GPR_RSP] = b->rsp;
	r->rip = b->rip;
	r->rflags = b->rflags;
	r->cr2 = b->cr2;
	r->dr6 = b->dr6;
	s->vcpu.cr8 = b->int_ctl & 0xf;
}

static void svm_enter(struct vcpu *v, bool *irq_taken)
{
	struct svm_vcpu *s = to_svm(v);
	struct svm_cpu *c = &svm_cpus[this_cpu()->id];

	*irq_taken = false;
	if (unlikely(!c->hsave)) { /* cpu_enable failed here */
		v->exit = (struct hv_exit){.reason = HV_EXIT_FAIL_ENTRY};
		return;
	}
	svm_tlb_prepare(s, c);
	svm_event_prepare(s);
	registers_in(s);
	SLOW_OPS(4); /* VMLOAD, VMRUN, VMSAVE, VMLOAD */
	svm_switch(&v->priv->regs, s->vmcb_hpa.v, c->host_hpa.v);
	registers_out(s);
	s->vmcb->clean = svm_caps.vmcb_clean ? CLEAN_ALL : 0;
	*irq_taken = svm_event_complete(s);
	svm_exit_decode(s->vmcb, &svm_caps, &v->exit);
}

const struct hv_ops svm_ops = {
	.name = "svm",
	.vm_size = sizeof(struct svm_vm),
	.vcpu_size = sizeof(struct svm_vcpu),
	.nested_format = &pt_npt_format,
	.probe = svm_probe,
	.init = svm_init,
	.features = svm_features,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,
	.vm_init = svm_vm_init,
	.vm_fini = svm_vm_fini,
	.vcpu_init = svm_vcpu_init,
	.vcpu_fini = svm_vcpu_fini,
	.vcpu_load = svm_vcpu_load,
	.vcpu_unload = svm_vcpu_unload,
	.enter = svm_enter,
	.get_state = svm_get_state,
	.set_state = svm_set_state,
	.read_mode = svm_read_mode,
	.set_cr = svm_set_cr,
	.offer_irq = svm_offer_irq,
	.inject = svm_inject,
	.can_inject = svm_can_inject,
	.want_window = svm_want_window,
	.skip_insn = svm_skip_insn,
	.set_tsc = svm_set_tsc,
	.msr_pass = svm_msr_pass,
	.npt_flush = svm_npt_flush,
	.audit = svm_audit,
	.dump = svm_dump,
};
