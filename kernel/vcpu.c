/* vCPUs: creation, where they are loaded, the run loop, kicks. */

#include "arch/msr.h"
#include "drivers/platform/lapic.h"
#include "hv/x86.h"
#include "kernel/domain.h"
#include "kernel/pv.h"
#include "kernel/sched.h"
#include "kernel/smp.h"
#include "kernel/syscall.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"

u64 vcpu_cpus;

static struct vcpu *vcpu_of(struct object *o) { return container_of(o, struct vcpu, obj); }

/* ---- Loading ---- */

void vcpu_drop(struct cpu *c)
{
	struct vcpu *v = c->vcpu;

	if (!v)
		return;
	guest_walk_unload(v);
	pv_unload(v);
	fpu_unload(v);
	hv_ops->vcpu_unload(v);
	c->vcpu = NULL;
	__atomic_fetch_and(&v->vm->space.active, ~BIT(c->id), __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->unload, false, __ATOMIC_RELAXED);
	__atomic_store_n(&v->cpu, -1, __ATOMIC_RELEASE);
}

/*
 * Not on a CPU that enters no guest: the thread leaves it. Loaded on another CPU, by another
 * thread's call or by its own before it moved: that CPU drops it when asked.
 */
static void fetch(struct vcpu *v)
{
	struct thread *t = thread_current();
	u64 mask;
	s32 cpu;

	for (;; preempt_point()) {
		if (unlikely(!(vcpu_cpus >> this_cpu()->id & 1))) {
			mask = t->affinity & vcpu_cpus;
			if (!(mask & t->domain->group->cpus)) /* of it, vcpu_cpus has some */
				mask = vcpu_cpus;
			sched_set_affinity(t, mask);
			continue;
		}
		cpu = __atomic_load_n(&v->cpu, __ATOMIC_ACQUIRE);
		if (cpu < 0 || (u32)cpu == this_cpu()->id)
			return;
		__atomic_store_n(&v->unload, true, __ATOMIC_SEQ_CST);
		smp_ipi((u32)cpu, IPI_QUIESCE);
		cpu_relax();
	}
}

void vcpu_load(struct vcpu *v)
{
	struct cpu *c = this_cpu();

	if (likely(c->vcpu == v))
		return;
	fetch(v);
	c = this_cpu();
	vcpu_drop(c);
	c->vcpu = v;
	__atomic_fetch_or(&v->vm->space.active, BIT(c->id), __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->cpu, (s32)c->id, __ATOMIC_RELEASE);
	guest_walk_reset(v);
	hv_ops->vcpu_load(v);
	fpu_load(v);
	if (unlikely(v->lapic.timer.armed && v->lapic.timer.cpu != c->id))
		vlapic_timer_follow(v);
	if (v->pv.msr[PV_STEAL_TIME])
		vcpu_kick(v, KICK_PV);
}

int vcpu_claim(struct vcpu *v)
{
	if (v->vm->owner != current_domain())
		return -E_RIGHTS;
	if (__atomic_exchange_n(&v->busy, 1, __ATOMIC_ACQUIRE))
		return -E_BUSY;
	object_get(&v->obj);
	vcpu_load(v);
	return 0;
}

void vcpu_release(struct vcpu *v)
{
	if (unlikely(v->obj.dead) && this_cpu()->vcpu == v)
		vcpu_drop(this_cpu());
	__atomic_store_n(&v->busy, 0, __ATOMIC_RELEASE);
	object_put(&v->obj);
}

/* ---- Kicks ---- */

void vcpu_kick(struct vcpu *v, u32 bits)
{
	struct thread *t;
	s32 cpu;

	/* A full barrier: either the run loop sees the bit, or this sees in_guest. */
	__atomic_fetch_or(&v->kick, bits, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST)) {
		cpu = __atomic_load_n(&v->cpu, __ATOMIC_RELAXED);
		if (cpu < 0 || (u32)cpu == this_cpu()->id)
			return;
		if (bits == KICK_POSTED && v->lapic.posting)
			lapic_ipi(cpus[cpu]->apic_id, VLAPIC_NOTIFY);
		else
			smp_ipi((u32)cpu, IPI_RESCHED);
		return;
	}
	t = __atomic_load_n(&v->runner, __ATOMIC_ACQUIRE);
	if (t && t != thread_current())
		thread_wake(t);
}

/* ---- The run loop ---- */

static int interrupted(struct vcpu *v)
{
	v->run->exit = RUN_EXIT_INTR;
	return -E_INTR;
}

/* True: the run page asks for the state that INIT or SIPI makes. */
static bool take_reset(struct vcpu *v)
{
	u32 reset = __atomic_exchange_n(&v->lapic.reset, 0, __ATOMIC_ACQ_REL);

	if (reset & VLAPIC_INIT) {
		v->activity = VCPU_WAIT_SIPI;
		v->nmi_pending = v->pv.unhalted = false;
		v->ext_vector = -1;
		/* nothing of the old life reaches the next, whenever the monitor answers */
		vlapic_timer_stop(v);
		*vlapic_reg(v, APIC_SVR) &= ~(u32)APIC_SVR_ENABLE;
	}
	if (!reset || v->activity != VCPU_WAIT_SIPI)
		return false;
	if (reset & VLAPIC_SIPI || v->apic_base & APIC_BASE_BSP)
		v->activity = VCPU_RUNNABLE; /* it takes NMIs from now on */
	v->run->exit = RUN_EXIT_RESET;
	v->run->reset.init = (reset & VLAPIC_INIT) != 0;
	v->run->reset.sipi = (reset & VLAPIC_SIPI) != 0;
	v->run->reset.vector = (u8)reset;
	return true;
}

/* Does anything end the HLT? */
static bool wakes(struct vcpu *v)
{
	if (v->activity != VCPU_HALTED)
		return false;
	if (__atomic_load_n(&v->nmi_pending, __ATOMIC_RELAXED))
		return true;
	if (__atomic_load_n(&v->pv.unhalted, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&v->pv.unhalted, false, __ATOMIC_RELAXED);
		return true;
	}
	if (!(v->priv->regs.rflags & RFLAGS_IF))
		return false;
	return vlapic_deliverable(v) || v->ext_vector >= 0 || vlapic_extint_pending(v);
}

static int sleep(struct vcpu *v)
{
	vlapic_sync(v);
	if (wakes(v)) {
		v->activity = VCPU_RUNNABLE;
		return 0;
	}
	thread_block_prepare();
	if (__atomic_load_n(&v->kick, __ATOMIC_SEQ_CST)) {
		thread_block_cancel();
		return 0;
	}
	return thread_block(DEADLINE_NEVER) == -E_INTR ? interrupted(v) : 0;
}

/*
 * What keeps the vCPU out of the guest; each load is followed by a call of this. 0: look again and
 * go on; 1: the run page is filled; else what vcpu_run returns.
 */
static int attend(struct vcpu *v)
{
	u32 kick = __atomic_exchange_n(&v->kick, 0, __ATOMIC_SEQ_CST);
	int r = 0;

	preempt_point(); /* also for interrupts: kicks may come without end */
	if (v->obj.dead || v->vm->obj.dead)
		return -E_DEAD;
	if (kick & KICK_RESET && take_reset(v)) {
		__atomic_fetch_or(&v->kick, kick & ~(u32)KICK_RESET, __ATOMIC_SEQ_CST);
		return 1;
	}
	if (kick & KICK_PV) {
		vcpu_load(v);
		pv_running(v);
	}
	if (thread_must_leave() || kick & (KICK_USER | KICK_STOP))
		return interrupted(v);
	if (v->activity != VCPU_RUNNABLE)
		r = sleep(v);
	if (!r) {
		vcpu_load(v);
		r = thread_must_leave() ? interrupted(v) : 0; /* who asked it to has asked once */
	}
	return r;
}

/* NMI and ExtINT. True: ask the monitor for the vector. */
static bool deliver_special(struct vcpu *v)
{
	if (v->nmi_pending) {
		if (hv_ops->can_inject(v, HV_EVENT_NMI)) {
			__atomic_store_n(&v->nmi_pending, false, __ATOMIC_RELAXED);
			hv_ops->inject(v, HV_EVENT_VALID | HV_EVENT_NMI, 0);
		} else {
			hv_ops->want_window(v, HV_EVENT_NMI);
		}
	}
	if (v->ext_vector < 0 && !vlapic_extint_pending(v))
		return false;
	if (!hv_ops->can_inject(v, HV_EVENT_IRQ)) {
		hv_ops->want_window(v, HV_EVENT_IRQ);
		return false;
	}
	if (v->ext_vector < 0) {
		__atomic_store_n(&v->lapic.extint, 0, __ATOMIC_RELAXED);
		v->pending_reply = RUN_EXIT_EXTINT;
		v->run->exit = RUN_EXIT_EXTINT;
		return true;
	}
	hv_ops->inject(v, HV_EVENT_VALID | HV_EVENT_IRQ | (u32)v->ext_vector, 0);
	v->ext_vector = -1;
	v->stat[STAT_IRQ_INJECTED]++;
	return false;
}

static bool deliver(struct vcpu *v)
{
	struct vlapic *l = &v->lapic;
	u8 vector;

	if (__atomic_load_n(&l->posted.any, __ATOMIC_RELAXED))
		vlapic_sync(v);
	if (l->update) {
		l->update = false;
		if (unlikely(v->pv.eoi_offered))
			pv_eoi_withdraw(v);
		vector = vlapic_pending(v);
		if (l->by_cpu)
			hv_ops->offer_irq(v, vector);
		else
			l->offered = vector;
		if (unlikely(v->pv.msr[PV_EOI]))
			pv_eoi_offer(v, vector);
	}
	return unlikely((u32)v->nmi_pending | (u32)(v->ext_vector + 1) | l->extint) &&
	       deliver_special(v);
}

#ifdef CAISSON_DEBUG
#include "kernel/vcpu_audit.h"
#else
#define vcpu_audit(v) ((void)0)
#endif

static void enter(struct vcpu *v)
{
	bool taken;

	DEBUG_ASSERT(this_cpu()->vcpu == v && v->cpu == (s32)this_cpu()->id);
	DEBUG_ASSERT(vcpu_cpus >> this_cpu()->id & 1);
	vcpu_audit(v);
	taken = hv_ops->enter(v);
	__atomic_store_n(&v->in_guest, false, __ATOMIC_RELEASE);
	if (taken) {
		vlapic_taken(v, v->lapic.offered);
		v->lapic.offered = 0;
		v->stat[STAT_IRQ_INJECTED]++;
	}
	if (unlikely(v->pv.eoi_offered))
		pv_eoi_taken(v);
}

static int run(struct vcpu *v)
{
	for (;;) {
		if (likely(v->activity == VCPU_RUNNABLE) && deliver(v))
			break;
		/* With in_guest set before kick is tested, no kick is lost. */
		(void)__atomic_exchange_n(&v->in_guest, true, __ATOMIC_SEQ_CST);
		if (unlikely(v->kick | this_cpu()->resched | v->activity)) {
			int r;

			__atomic_store_n(&v->in_guest, false, __ATOMIC_RELEASE);
			r = attend(v);
			if (r < 0)
				return r;
			if (r)
				break;
			continue;
		}
		enter(v);
		if (vcpu_exit_handle(v) == STEP_USER)
			break;
	}
	v->stat[STAT_USER]++;
	return 0;
}

/* The monitor's answer to the last exit; each field is read once. */
static enum vcpu_step take_reply(struct vcpu *v)
{
	u32 exit = v->pending_reply;
	u64 *rax = &v->priv->regs.gpr[GPR_RAX];
	u32 data;
	s32 vector;

	v->pending_reply = RUN_EXIT_NONE;
	if (exit == RUN_EXIT_IO) {
		data = __atomic_load_n(&v->run->io.data, __ATOMIC_RELAXED);
		if (v->reply_size == 4)
			*rax = data;
		else if (v->reply_size == 2)
			*rax = (*rax & ~0xffffull) | (u16)data;
		else
			*rax = (*rax & ~0xffull) | (u8)data;
	} else if (exit == RUN_EXIT_EXTINT) {
		vector = __atomic_load_n(&v->run->extint.vector, __ATOMIC_RELAXED);
		if (vector >= 0 && vector <= 255)
			v->ext_vector = vector;
	} else {
		return vcpu_carry_out(v);
	}
	return STEP_CONTINUE;
}

s64 sys_vcpu_run(struct object *obj, const struct sys_args *args)
{
	struct vcpu *v = vcpu_of(obj);
	int r = vcpu_claim(v);

	if (unlikely(r))
		return r;
	if (unlikely(v->missing)) {
		r = -E_STATE;
	} else if (unlikely(v->vm->obj.dead)) {
		r = -E_DEAD;
	} else {
		thread_current()->vcpu = v;
		__atomic_store_n(&v->runner, thread_current(), __ATOMIC_RELEASE);
		if (v->pending_reply && take_reply(v) == STEP_USER)
			v->stat[STAT_USER]++;
		else if (unlikely(__atomic_load_n(&v->run->immediate, __ATOMIC_RELAXED) ||
				  thread_must_leave()))
			r = interrupted(v);
		else
			r = run(v);
		__atomic_store_n(&v->runner, NULL, __ATOMIC_RELEASE);
		thread_current()->vcpu = NULL;
		if (hv_ops->vcpu_rest && this_cpu()->vcpu == v)
			hv_ops->vcpu_rest(v);
	}
	vcpu_release(v);
	return r;
}

s64 sys_vcpu_kick(struct object *obj, const struct sys_args *args)
{
	vcpu_kick(vcpu_of(obj), KICK_USER);
	return 0;
}

/* ---- Life ---- */

static void vcpu_revoke(struct object *o)
{
	struct vcpu *v = vcpu_of(o), *self = v;

	vcpu_kick(v, KICK_STOP); /* before vcpu_stop_all would not find it any more */
	__atomic_compare_exchange_n(&v->vm->vcpu[v->index], &self, NULL, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

static bool vcpu_destroy_step(struct object *o)
{
	struct vcpu *v = vcpu_of(o);
	struct domain *d = v->vm->owner;
	struct quota *q = o->quota;

	/* A dead vCPU is dropped at the epoch's interrupt; until then it can't be freed. */
	if (__atomic_load_n(&v->cpu, __ATOMIC_ACQUIRE) >= 0)
		return false;
	vlapic_timer_stop(v);
	if (v->run_va)
		aspace_unmap_kernel_page(&d->aspace, v->run_va);
	if (v->block)
		kpriv_free(&d->aspace, v->block);
	if (v->run)
		kmem_free(q, v->run, PAGE_SIZE);
	if (v->lapic.page)
		kmem_free(q, v->lapic.page, PAGE_SIZE);
	if (v->scratch)
		kmem_free(q, v->scratch, sizeof(*v->scratch));
	object_put(&v->vm->obj);
	return true;
}

const struct object_ops vcpu_object_ops = {
	.revoke = vcpu_revoke,
	.destroy_step = vcpu_destroy_step,
};

static int vcpu_init(struct vcpu *v, u64 run_va)
{
	struct domain *d = v->vm->owner;
	int r;

	v->block = kpriv_alloc(&d->aspace, &v->block_hpa);
	v->run = kmem_alloc(v->obj.quota, PAGE_SIZE);
	v->lapic.page = kmem_alloc(v->obj.quota, PAGE_SIZE);
	v->scratch = kmem_alloc(v->obj.quota, sizeof(*v->scratch));
	if (!v->block || !v->run || !v->lapic.page || !v->scratch)
		return -E_NOMEM;
	v->priv = (struct vcpu_private *)((u8 *)v->block + PAGE_SIZE);
	fpu_init_area(v);
	v->run->version = UAPI_VERSION;
	r = hv_ops->vcpu_init(v);
	if (r)
		return r;
	r = aspace_map_kernel_page(&d->aspace, run_va, v->run, PROT_R | PROT_W);
	if (!r)
		v->run_va = run_va;
	return r;
}

s64 sys_vcpu_create(struct object *obj, const struct sys_args *args)
{
	struct vm *vm = container_of(obj, struct vm, obj);
	u64 index = args->a[1];
	struct vcpu *v, *none = NULL;
	int r;

	if (vm->owner != current_domain())
		return -E_RIGHTS;
	if (index >= VM_MAX_VCPUS)
		return -E_INVAL;
	v = object_new(OBJ_VCPU, hv_ops->vcpu_size, vm->obj.quota);
	if (!v)
		return -E_NOMEM;
	object_get(&vm->obj);
	v->vm = vm;
	v->index = (u32)index;
	v->cpu = -1;
	v->exit.code_cr3 = ~0ull;
	v->missing = STATE_GPR | STATE_SEG | STATE_CR | STATE_DR;
	v->activity = VCPU_WAIT_SIPI;
	v->ext_vector = -1;
	r = vcpu_init(v, args->a[2]);
	if (!r && !__atomic_compare_exchange_n(&vm->vcpu[index], &none, v, false, __ATOMIC_SEQ_CST,
					       __ATOMIC_SEQ_CST))
		r = -E_EXIST;
	if (r) {
		object_put(&v->obj);
		return r;
	}
	return handle_install(current_domain(), &v->obj, R_DUP | R_REVOKE | R_INFO | R_RUN);
}

void vcpu_stop_all(struct vm *vm)
{
	for (u32 i = 0; i < VM_MAX_VCPUS; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpu[i], __ATOMIC_ACQUIRE);

		if (v)
			vcpu_kick(v, KICK_STOP);
	}
}
