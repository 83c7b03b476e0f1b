/* What becomes of each neutral exit. */
#include "arch/msr.h"
#include "kernel/mce.h"
#include "kernel/pv.h"
#include "kernel/sched.h"
#include "kernel/trap.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"

#define CPUID_1_ECX_OSXSAVE (1u << 27)
#define FXSAVE_AND_HEADER 576u /* bytes of an XSAVE area without AVX */

/* ---- Helpers ---- */

enum vcpu_step vcpu_fault(struct vcpu *v, u8 vector)
{
	u32 error = EXC_WITH_ERROR >> vector & 1 ? HV_EVENT_ERROR : 0;

	hv_ops->inject(v, HV_EVENT_VALID | HV_EVENT_EXCEPTION | vector | error, 0);
	return STEP_CONTINUE;
}

u64 vcpu_beyond_4g(struct vcpu *v, u64 rip)
{
	struct hv_mode m;

	hv_ops->read_mode(v, &m);
	return hv_mode_64(&m) ? rip : (u32)rip;
}

enum vcpu_step vcpu_single_step(struct vcpu *v)
{
	v->priv->regs.dr6 |= DR6_BS; /* the trap that the CPU would have raised */
	return vcpu_fault(v, EXC_DB);
}

const struct vcpu_record *vcpu_record(struct vcpu *v)
{
	struct vcpu_record *r = (struct vcpu_record *)v->scratch;

	r->phys_bits = cpu_facts.phys_bits;
	r->may = guest_bits;
	hv_ops->record(v, r);
	return r;
}

/* The VM is stopped; its monitor can read the registers, and finds out more. */
static enum vcpu_step internal(struct vcpu *v, u32 code, const char *why, u64 number)
{
	log_error("vm %u: vCPU %u stopped: %s: %#lx", v->vm->id, v->index, why, number);
	v->missing = ~0u;
	v->run->record = *vcpu_record(v);
	v->run->exit = RUN_EXIT_INTERNAL;
	v->run->internal.code = code;
	return STEP_USER;
}

/* ---- Instructions ---- */

/* Its numbers may be any: the row is inside the table all the same. NULL: zeros. */
static const struct cpuid_row *cpuid_row(const struct vm_policy *p, u32 leaf, u32 subleaf)
{
	u32 range = leaf >> 30, low = leaf & 0x3fffffff, first;

	if (unlikely(range >= CPUID_RANGES || low >= CPUID_LEAVES || !p->first[range][low]))
		return NULL;
	first = (p->first[range][low] - 1u) % CPUID_ROWS;
	return &p->row[(first + MIN(subleaf, p->row[first].more)) % CPUID_ROWS];
}

/* The registers hold the row: what depends on the vCPU or its state is put in. */
static __attribute__((noinline)) void cpuid_live(struct vcpu *v, u32 kind, u32 subleaf)
{
	u64 *gpr = v->priv->regs.gpr;
	struct hv_mode m;

	hv_ops->read_mode(v, &m);
	switch (kind) {
	case CPUID_FEATURES:
		gpr[GPR_RBX] |= v->index << 24;
		gpr[GPR_RCX] |= m.cr4 & CR4_OSXSAVE ? CPUID_1_ECX_OSXSAVE : 0;
		break;
	case CPUID_TOPOLOGY:
		gpr[GPR_RCX] |= subleaf & 0xff;
		gpr[GPR_RDX] = v->index;
		break;
	case CPUID_XSAVE: /* standard and compacted alike: AVX follows the header */
		gpr[GPR_RBX] = v->xcr0 & XCR0_AVX ? v->vm->policy.xsave_bytes : FXSAVE_AND_HEADER;
		break;
	}
}

static enum vcpu_step exit_cpuid(struct vcpu *v, u32 length)
{
	static const struct cpuid_row none;
	u64 *gpr = v->priv->regs.gpr;
	u32 subleaf = (u32)gpr[GPR_RCX], kind;
	const struct cpuid_row *row = cpuid_row(&v->vm->policy, (u32)gpr[GPR_RAX], subleaf);

	row = row ? row : &none;
	kind = row->kind;
	gpr[GPR_RAX] = row->r.eax;
	gpr[GPR_RBX] = row->r.ebx;
	gpr[GPR_RCX] = row->r.ecx;
	gpr[GPR_RDX] = row->r.edx;
	if (unlikely(kind))
		cpuid_live(v, kind, subleaf);
	return vcpu_skip(v, length);
}

static enum vcpu_step exit_hlt(struct vcpu *v, u32 length)
{
	/* A single-step trap ends the HLT at once. */
	v->activity = v->priv->regs.rflags & RFLAGS_TF ? VCPU_RUNNABLE : VCPU_HALTED;
	return vcpu_skip(v, length);
}

static enum vcpu_step exit_extint(struct vcpu *v, u32 length)
{
	struct trap_frame f = {.vector = v->exit.acknowledged, .cs = SEL_KCODE};

	if (f.vector) {
		v->exit.acknowledged = 0;
		trap_handler(&f);
	}
	preempt_point();
	vcpu_load(v);
	if (unlikely(thread_must_leave())) /* who asked it to has asked once */
		this_cpu()->resched = 1;
	return STEP_CONTINUE;
}

/* It spins: whom it waits for may be behind it in the queue. */
static enum vcpu_step exit_pause(struct vcpu *v, u32 length)
{
	vcpu_skip(v, length);
	sched_yield();
	return exit_extint(v, 0);
}

static enum vcpu_step exit_hypercall(struct vcpu *v, u32 length)
{
	pv_hypercall(v);
	return vcpu_skip(v, length);
}

static enum vcpu_step exit_undefined(struct vcpu *v, u32 length) { return vcpu_fault(v, EXC_UD); }

/* ---- To the monitor ---- */

static enum vcpu_step emulate(struct vcpu *v, struct run_emulate what)
{
	v->run->exit = v->pending_reply = RUN_EXIT_EMULATE;
	v->run->emulate = what;
	return STEP_USER;
}

/* An instruction that is too rare for the kernel. */
static enum vcpu_step exit_emulate(struct vcpu *v, u32 length)
{
	return emulate(v, (struct run_emulate){.mode = v->exit.reason == HV_EXIT_UNENTERABLE});
}

/* ---- MSRs and the local APIC ---- */

/* A level-triggered interrupt has ended: its line may be raised again. */
static enum vcpu_step after_apic(struct vcpu *v)
{
	u32 eoi = v->lapic.eoi_exit;

	if (likely(!eoi))
		return STEP_CONTINUE;
	v->lapic.eoi_exit = 0;
	v->run->exit = RUN_EXIT_EOI;
	v->run->eoi.vector = eoi & 0xff;
	return STEP_USER;
}

/*
 * Beside the local APIC's, APIC_BASE can be read and TSC_DEADLINE is here; others: the monitor's.
 */
static enum vcpu_step exit_msr_read(struct vcpu *v, u32 length)
{
	u64 *gpr = v->priv->regs.gpr, value;
	u32 msr = (u32)gpr[GPR_RCX];

	if (msr == MSR_APIC_BASE)
		value = v->apic_base;
	else if (msr == MSR_TSC_DEADLINE)
		value = v->lapic.tsc_deadline;
	else if (msr - MSR_X2APIC_BASE >= 0x100)
		return exit_emulate(v, 0);
	else if (!vlapic_msr_read(v, msr, &value))
		return vcpu_fault(v, EXC_GP);
	gpr[GPR_RAX] = (u32)value;
	gpr[GPR_RDX] = value >> 32;
	return vcpu_skip(v, length);
}

/* Apart, so that the way to the local APIC saves no registers. */
static __attribute__((noinline)) enum vcpu_step other_msr_write(struct vcpu *v, u32 msr, u64 value,
								u32 length)
{
	if (msr != MSR_TSC_DEADLINE)
		return exit_emulate(v, 0);
	vlapic_timer_write_deadline(v, value);
	return vcpu_skip(v, length);
}

static enum vcpu_step exit_msr_write(struct vcpu *v, u32 length)
{
	const u64 *gpr = v->priv->regs.gpr;
	u64 value = (u32)gpr[GPR_RAX] | gpr[GPR_RDX] << 32;
	u32 msr = (u32)gpr[GPR_RCX];

	if (unlikely(msr - MSR_X2APIC_BASE >= 0x100))
		return other_msr_write(v, msr, value, length);
	if (!vlapic_msr_write(v, msr, value))
		return vcpu_fault(v, EXC_GP);
	vcpu_skip(v, length);
	return after_apic(v);
}

/* Only MOV of 32 bits, in 64-bit code, is carried out here: what is hot. */
static enum vcpu_step apic_access(struct vcpu *v, u32 offset)
{
	u64 *gpr = v->priv->regs.gpr, address = v->exit.npf.gpa.v;
	const struct exit_insn *i = guest_decode(v);

	v->stat[STAT_APIC_MMIO]++;
	if (!i || i->access == ACCESS_NONE)
		return emulate(v, (struct run_emulate){
					  .gpa = address, .write = v->exit.npf.write, .apic = 1});
	if (i->access == ACCESS_LOAD)
		gpr[i->reg] = vlapic_mmio_read(v, offset);
	else
		vlapic_mmio_write(v, offset, i->access == ACCESS_STORE ? (u32)gpr[i->reg] : i->imm);
	vcpu_skip(v, i->length);
	return after_apic(v);
}

static enum vcpu_step exit_apic_write(struct vcpu *v, u32 length)
{
	vlapic_written(v, v->exit.number & (PAGE_SIZE - 1));
	return after_apic(v);
}

static enum vcpu_step exit_eoi(struct vcpu *v, u32 length)
{
	vlapic_eoi_broadcast(v, (u8)v->exit.number);
	return after_apic(v);
}

/* ---- Ports and memory ---- */

static enum vcpu_step exit_task_switch(struct vcpu *v, u32 length)
{
	v->run->exit = RUN_EXIT_TASK_SWITCH;
	v->run->task = v->exit.task;
	return STEP_USER;
}

/* Apart, so that the usual way makes no room for it. */
static __attribute__((noinline)) enum vcpu_step string_io(struct vcpu *v)
{
	const struct hv_exit *x = &v->exit;

	return emulate(v, (struct run_emulate){.gpa = x->io.port, .write = !x->io.in, .io = true});
}

static enum vcpu_step exit_io(struct vcpu *v, u32 length)
{
	const struct hv_exit *x = &v->exit;
	struct vcpu_run *run = v->run;

	if (unlikely(x->io.string))
		return string_io(v);
	vcpu_skip(v, length);
	run->exit = RUN_EXIT_IO;
	run->io.port = x->io.port;
	run->io.size = x->io.size;
	run->io.in = x->io.in;
	if (x->io.in) {
		v->pending_reply = RUN_EXIT_IO;
		v->reply_size = x->io.size;
	} else {
		u32 value = (u32)v->priv->regs.gpr[GPR_RAX];

		run->io.data = x->io.size == 4 ? value : value & ((1u << (x->io.size * 8)) - 1);
	}
	return STEP_USER;
}

static bool on_apic_page(const struct vcpu *v, u64 a)
{
	return vlapic_enabled(v) && !vlapic_x2apic(v) &&
	       ((v->apic_base ^ a) & 0x000ffffffffff000ull) == 0;
}

static enum vcpu_step exit_npf(struct vcpu *v, u32 length)
{
	const struct hv_exit *x = &v->exit;
	u64 a = x->npf.gpa.v;

	if (on_apic_page(v, a) && !x->npf.fetch && !x->npf.table_walk)
		return apic_access(v, a & (PAGE_SIZE - 1));
	switch (aspace_fault(&v->vm->space, a, x->npf.write ? PF_WRITE : 0)) {
	case FAULT_MAPPED: v->stat[STAT_PAGE_POPULATE]++; return STEP_CONTINUE;
	case FAULT_NOMEM:
		return internal(v, RUN_INTERNAL_MEMORY,
				"no memory for a guest page or a nested table", a);
	default: break;
	}
	v->stat[STAT_MMIO]++;
	return emulate(v, (struct run_emulate){.gpa = a,
					       .write = x->npf.write,
					       .fetch = x->npf.fetch,
					       .walk = x->npf.table_walk});
}

/* ---- Events ---- */

static enum vcpu_step exit_nothing(struct vcpu *v, u32 length) { return STEP_CONTINUE; }

/*
 * Intercepted only so that an endless nesting of them, in which no interrupt of the host would come
 * between, passes through here.
 */
static enum vcpu_step exit_exception(struct vcpu *v, u32 length)
{
	const struct hv_exit *x = &v->exit;
	u32 event = HV_EVENT_VALID | HV_EVENT_EXCEPTION | x->exception.vector;

	hv_ops->inject(v, event | (x->exception.has_error ? HV_EVENT_ERROR : 0),
		       x->exception.error);
	return exit_extint(v, 0);
}

static enum vcpu_step exit_shutdown(struct vcpu *v, u32 length)
{
	log_notice("vm %u: vCPU %u: triple fault at rip %#lx", v->vm->id, v->index,
		   v->priv->regs.rip);
	v->run->exit = RUN_EXIT_SHUTDOWN;
	return STEP_USER;
}

static enum vcpu_step exit_mc(struct vcpu *v, u32 length)
{
	if (!mce_take(false))
		return STEP_CONTINUE;
	return internal(v, RUN_INTERNAL_MC, "machine check while the guest ran, at rip",
			v->priv->regs.rip);
}

static enum vcpu_step exit_internal(struct vcpu *v, u32 length)
{
	if (v->exit.reason == HV_EXIT_FAIL_ENTRY)
		return internal(v, RUN_INTERNAL_ENTRY, "the CPU refused the guest state",
				v->exit.number);
	return internal(v, RUN_INTERNAL_UNKNOWN, "an exit that this kernel does not know",
			v->exit.number);
}

/* ---- The table ---- */

static const struct handler {
	enum vcpu_step (*fn)(struct vcpu *v, u32 length);
	u8 stat;   /* enum exit_stat */
	bool insn; /* needs the length of the instruction */
} handlers[HV_EXITS] = {
	[HV_EXIT_EXTINT] = {exit_extint, STAT_EXTINT},
	[HV_EXIT_NMI] = {exit_nothing, STAT_NMI},
	[HV_EXIT_MC] = {exit_mc, STAT_OTHER},
	[HV_EXIT_EXCEPTION] = {exit_exception, STAT_EXCEPTION},
	[HV_EXIT_CPUID] = {exit_cpuid, STAT_CPUID, true},
	[HV_EXIT_HLT] = {exit_hlt, STAT_HLT, true},
	[HV_EXIT_PAUSE] = {exit_pause, STAT_PAUSE, true},
	[HV_EXIT_IO] = {exit_io, STAT_IO, true},
	[HV_EXIT_MSR_READ] = {exit_msr_read, STAT_MSR_READ, true},
	[HV_EXIT_MSR_WRITE] = {exit_msr_write, STAT_MSR_WRITE, true},
	[HV_EXIT_CR] = {exit_emulate, STAT_CR},
	[HV_EXIT_DR] = {exit_emulate, STAT_DR},
	[HV_EXIT_XSETBV] = {exit_emulate, STAT_XSETBV},
	[HV_EXIT_HYPERCALL] = {exit_hypercall, STAT_HYPERCALL, true},
	[HV_EXIT_APIC_WRITE] = {exit_apic_write, STAT_APIC_MMIO},
	[HV_EXIT_EOI] = {exit_eoi, STAT_APIC_MMIO},
	/* counted in a row that nobody sees, and by what it turns out to be */
	[HV_EXIT_NPF] = {exit_npf, STAT_ROWS},
	[HV_EXIT_WINDOW] = {exit_nothing, STAT_IRQ_WINDOW},
	[HV_EXIT_SHUTDOWN] = {exit_shutdown, STAT_SHUTDOWN},
	[HV_EXIT_UNDEFINED] = {exit_undefined, STAT_OTHER},
	[HV_EXIT_WBINVD] = {vcpu_skip, STAT_OTHER, true},
	[HV_EXIT_TASK_SWITCH] = {exit_task_switch, STAT_OTHER},
	[HV_EXIT_UNENTERABLE] = {exit_emulate, STAT_OTHER},
	[HV_EXIT_FAIL_ENTRY] = {exit_internal, STAT_OTHER},
	[HV_EXIT_UNKNOWN] = {exit_internal, STAT_OTHER},
};
static_assert(ARRAY_SIZE(handlers) == HV_EXITS, "every exit has a handler");

/* Apart, so that the usual way saves no registers. */
static __attribute__((noinline)) enum vcpu_step handle_decoded(struct vcpu *v)
{
	const struct handler *h = &handlers[v->exit.reason];
	const struct exit_insn *i = guest_decode(v);

	if (i)
		return h->fn(v, i->length);
	v->stat[h->stat]--; /* it counts when the answer comes */
	return emulate(v, (struct run_emulate){.length = 1});
}

enum vcpu_step vcpu_exit_handle(struct vcpu *v)
{
	const struct handler *h = &handlers[v->exit.reason];
	u32 length = 0;

	v->stat[h->stat]++;
	if (h->insn) {
		length = vcpu_insn_length(v);
		if (unlikely(!length))
			return handle_decoded(v);
	}
	return h->fn(v, length);
}

/* Apart, so that a usual reply makes no room for it. */
__attribute__((noinline)) enum vcpu_step vcpu_carry_out(struct vcpu *v)
{
	const struct run_emulate r = *(const volatile struct run_emulate *)&v->run->emulate;

	switch (r.carry_out) {
	case RUN_DO_CPUID: v->exit.reason = HV_EXIT_CPUID; break;
	case RUN_DO_MSR_READ: v->exit.reason = HV_EXIT_MSR_READ; break;
	case RUN_DO_MSR_WRITE: v->exit.reason = HV_EXIT_MSR_WRITE; break;
	case RUN_DO_EXIT: break;
	case RUN_DO_APIC_WRITE:
		vlapic_mmio_write(v, r.gpa % PAGE_SIZE, r.value);
		return after_apic(v);
	default: return STEP_CONTINUE;
	}
	v->exit.insn_len = MIN(r.insn_len, EXIT_INSN_MAX);
	v->exit.code_cr3 = ~0ull; /* pages that were looked at may be others' meanwhile */
	return vcpu_exit_handle(v);
}
