/* The AMD-V back-end as the kernel sees it: life of VM and vCPU, and the world switch. */
#include "svm/svm.h"

#include "arch/msr.h"
#include "hv/cpu.h"
#include "hv/x86.h"

#define PAUSE_FILTER_COUNT 3000

/* ---- vCPU ---- */

static int svm_vcpu_init(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	s->vmcb = v->block;
	s->last_cpu = -1;
	svm_intercepts_init(s->vmcb);
	if (cpu_facts.svm_pause_filter)
		svm_intercept(s, VMEXIT_PAUSE, true);
	s->vmcb->pause_filter_count = PAUSE_FILTER_COUNT;
	s->vmcb->iopm_base = svm_iopm().v;
	s->vmcb->msrpm_base = svm_msrpm().v;
	s->vmcb->nested_ctl = NESTED_NP_ENABLE;
	s->vmcb->nested_cr3 = pt_root_hpa(&v->vm->space.pt);
	s->vmcb->int_ctl = V_INTR_MASKING;
	s->vmcb->efer = EFER_SVME;
	s->vmcb->g_pat = PAT_RESET;
	return 0;
}

static void svm_vcpu_load(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	s32 id = (s32)this_cpu()->id;

	s->cpu = &svm_cpus[id];
	if (s->last_cpu != id) { /* that CPU's ASIDs and cached control blocks mean nothing here */
		s->last_cpu = id;
		s->asid_generation = 0;
		s->vmcb->clean = 0;
	}
	if (cpu_facts.rdtscp)
		wrmsr(MSR_TSC_AUX, s->tsc_aux);
}

static void svm_vcpu_unload(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);

	if (cpu_facts.rdtscp) {
		s->tsc_aux = rdmsr(MSR_TSC_AUX);
		wrmsr(MSR_TSC_AUX, 0); /* ring 3 learns nothing by it */
	}
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
	b->cr2 = r->cr2;
	if (unlikely(read_cr2() != r->cr2)) /* Bochs 2.7 does not load it at VMRUN */
		write_cr2(r->cr2);
	b->dr6 = r->dr6;
	/*
	 * The guest reaches DR0-3 only through exits, so they matter only while a breakpoint is on.
	 */
	if (b->dr7 & DR7_ENABLE_MASK)
		write_dr0_3(r->dr);
}

static void registers_out(struct svm_vcpu *s)
{
	struct vcpu_regs *r = &s->vcpu.priv->regs;
	struct vmcb *b = s->vmcb;

	r->gpr[GPR_RAX] = b->rax;
	r->gpr[GPR_RSP] = b->rsp;
	r->rip = b->rip;
	r->rflags = b->rflags;
	r->cr2 = b->cr2;
	r->dr6 = b->dr6;
	b->tlb_control = TLB_NOTHING;
	/* What each entry writes is never clean; CPUs without these bits do not look. */
	b->clean = CLEAN_ALL & ~(u32)(CLEAN_TPR | CLEAN_DR | CLEAN_CR2);
	vlapic_cr8_set(&s->vcpu.lapic, b->int_ctl); /* V_TPR */
}

static bool svm_enter(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct svm_cpu *c = s->cpu;
	bool taken;

	svm_tlb_prepare(s, c);
	svm_event_prepare(s);
	registers_in(s);
	SLOW_OPS(4); /* VMLOAD, VMRUN, VMSAVE, VMLOAD */
	svm_switch(&v->priv->regs, v->block_hpa.v, c->host_hpa.v);
	registers_out(s);
	taken = svm_event_complete(s);
	svm_exit_decode(s->vmcb, &v->exit);
	return taken;
}

const struct hv_ops svm_ops = {
	.name = "svm",
	.vcpu_size = sizeof(struct svm_vcpu),
	.nested_format = &pt_host_format,
	.probe = svm_probe,
	.features = svm_features,
	.cpu_enable = svm_cpu_enable,
	.vcpu_init = svm_vcpu_init,
	.vcpu_load = svm_vcpu_load,
	.vcpu_unload = svm_vcpu_unload,
	.enter = svm_enter,
	.get_state = svm_get_state,
	.set_state = svm_set_state,
	.read_mode = svm_read_mode,
	.inject = svm_inject,
	.can_inject = svm_can_inject,
	.want_window = svm_want_window,
	.end_shadow = svm_end_shadow,
	.record = svm_record,
};
