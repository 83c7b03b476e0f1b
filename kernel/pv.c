#include "kernel/pv.h"

#include "hv/vendor.h"
#include "kernel/sched.h"
#include "kernel/vlapic.h"
#include "lib/string.h"
#include "mm/window.h"

#define ENABLED 1ull

/* In guest memory. */
struct steal_time {
	u64 ns;
	u32 version; /* odd while it changes */
	u32 flags;
	u8 preempted; /* is not on a CPU */
	u8 reserved[47];
};
static_assert(sizeof(struct steal_time) == 64, "struct kvm_steal_time");

enum hypercall {
	HC_VAPIC_POLL_IRQ = 1,
	HC_KICK_CPU = 5,
	HC_SEND_IPI = 10,
	HC_SCHED_YIELD = 11,
};

enum { KVM_EPERM = 1, KVM_EINVAL = 22, KVM_ENOSYS = 1000 };

/* ---- The pages ---- */

static void hide(struct vcpu *v, u32 i)
{
	u32 n = i - PV_STEAL_TIME;

	if (v->pv.at[n])
		window_unmap(WINDOW_PV + n);
	v->pv.at[n] = NULL;
}

/* Is what the window shows still the guest's? Until this CPU answers a flush it stays so. */
static bool shown(const struct vcpu *v, u32 i)
{
	return v->pv.at[i - PV_STEAL_TIME] &&
	       v->pv.epoch[i - PV_STEAL_TIME] ==
		       __atomic_load_n(&v->vm->space.epoch, __ATOMIC_ACQUIRE);
}

/*
 * Steal time or EOI, in this CPU's window, until the next lock or preemption point. NULL: it is
 * off, or the guest has no memory there that may be written.
 */
static void *show(struct vcpu *v, u32 i)
{
	u32 n = i - PV_STEAL_TIME;
	struct aspace *as = &v->vm->space;
	u64 a = v->pv.msr[i] & ~ENABLED;
	hpa_t at;

	if (!(v->pv.msr[i] & ENABLED))
		return NULL;
	if (likely(shown(v, i)))
		return v->pv.at[n];
	hide(v, i);
	v->pv.epoch[n] = __atomic_load_n(&as->epoch, __ATOMIC_ACQUIRE);
	/* another mapping may be there by now */
	if (aspace_fault(as, a, PF_WRITE) == FAULT_MAPPED && aspace_lookup(as, a, PROT_W, &at))
		v->pv.at[n] = window_map(WINDOW_PV + n, at);
	return v->pv.at[n];
}

/* ---- The MSRs ---- */

/* Aligned, neither crosses a page. */
bool pv_valid(const u64 msr[PV_MSRS])
{
	return !((msr[PV_STEAL_TIME] & ~ENABLED) % sizeof(struct steal_time)) &&
	       !((msr[PV_EOI] & ~ENABLED) % sizeof(u32));
}

void pv_set(struct vcpu *v, const u64 msr[PV_MSRS])
{
	pv_eoi_withdraw(v);
	hide(v, PV_STEAL_TIME);
	hide(v, PV_EOI);
	if (msr[PV_STEAL_TIME] != v->pv.msr[PV_STEAL_TIME])
		thread_current()->waited_ns = 0; /* until now it was not asked for */
	memcpy(v->pv.msr, msr, sizeof(v->pv.msr));
	v->lapic.update = true;
	vcpu_kick(v, KICK_PV);
}

/* ---- Steal time ---- */

void pv_running(struct vcpu *v)
{
	struct steal_time *s = show(v, PV_STEAL_TIME);
	struct thread *t = thread_current();

	if (!s)
		return;
	s->preempted = 0;
	__atomic_store_n(&s->version, s->version | 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	s->ns += t->waited_ns;
	t->waited_ns = 0;
	__atomic_store_n(&s->version, s->version + 1, __ATOMIC_RELEASE);
}

void pv_unload(struct vcpu *v)
{
	if (shown(v, PV_STEAL_TIME))
		((struct steal_time *)v->pv.at[0])->preempted = 1;
	hide(v, PV_STEAL_TIME);
	hide(v, PV_EOI);
}

/* ---- EOI ---- */

void pv_eoi_offer(struct vcpu *v, u8 vector)
{
	struct vlapic *l = &v->lapic;
	u8 n = vlapic_highest(l, APIC_ISR), waiting;
	u32 *flag;

	/* Of two that the guest may end the flag would not tell which. */
	if (l->by_cpu || !vector == !n)
		return;
	n |= vector;
	vlapic_set_bit(l, APIC_IRR, vector, false);
	waiting = vlapic_highest(l, APIC_IRR);
	vlapic_set_bit(l, APIC_IRR, vector, vector);
	/* Who waits for this end, another interrupt or the monitor, must be told of it. */
	if (waiting || *vlapic_word(l, APIC_TMR, n) >> n % 32 & 1)
		return;
	flag = show(v, PV_EOI);
	v->pv.eoi_offered = flag;
	if (flag)
		__atomic_store_n(flag, 1, __ATOMIC_RELAXED);
}

void pv_eoi_withdraw(struct vcpu *v)
{
	u32 *flag = v->pv.eoi_offered ? show(v, PV_EOI) : NULL;

	v->pv.eoi_offered = false;
	if (flag)
		__atomic_store_n(flag, 0, __ATOMIC_RELAXED);
}

void pv_eoi_taken(struct vcpu *v)
{
	const u32 *flag = show(v, PV_EOI);

	if (flag && __atomic_load_n(flag, __ATOMIC_RELAXED) & 1)
		return;
	v->pv.eoi_offered = false;
	if (flag)
		vlapic_eoi(v);
}

/* ---- Hypercalls ---- */

static struct vcpu *by_id(const struct vcpu *v, u64 id)
{
	return id < VM_MAX_VCPUS ? __atomic_load_n(&v->vm->vcpu[id], __ATOMIC_ACQUIRE) : NULL;
}

static s64 kick_cpu(struct vcpu *v, u64 id)
{
	struct vcpu *to = by_id(v, id);

	if (to) {
		__atomic_store_n(&to->pv.unhalted, true, __ATOMIC_RELEASE);
		vcpu_kick(to, KICK_IRQ);
	}
	return 0;
}

/* Bit n of the word names the vCPU first + n. How many there are of these. */
static u32 send_to(struct vcpu *v, struct vlapic_msg *m, u64 word, u32 first)
{
	u32 sent = 0;

	for (; word; word &= word - 1) {
		m->dest = first + (u32)__builtin_ctzll(word);
		if (by_id(v, m->dest)) {
			vlapic_send(v->vm, m);
			sent++;
		}
	}
	return sent;
}

/* Edge-triggered, without shorthand, to vCPUs by their ids. */
static s64 send_ipi(struct vcpu *v, const u64 a[4], u32 bits)
{
	u64 icr = a[3];
	struct vlapic_msg m = {
		.vector = (u8)icr,
		.mode = icr >> 8 & 7,
		.assert = true,
		.source = v,
	};

	if (icr & (APIC_ICR_LOGICAL | 3u << 18))
		return -KVM_EINVAL;
	if (a[2] >= VM_MAX_VCPUS)
		return 0;
	return send_to(v, &m, a[0], (u32)a[2]) + send_to(v, &m, a[1], (u32)a[2] + bits);
}

static s64 hypercall(struct vcpu *v, u64 number, const u64 a[4], u32 bits)
{
	switch (number) {
	case HC_VAPIC_POLL_IRQ: return 0; /* that is what an exit does */
	case HC_KICK_CPU: return kick_cpu(v, a[1]);
	case HC_SEND_IPI: return send_ipi(v, a, bits);
	case HC_SCHED_YIELD: sched_yield(); return 0;
	default: return -KVM_ENOSYS;
	}
}

void pv_hypercall(struct vcpu *v)
{
	u64 *gpr = v->priv->regs.gpr;
	struct hv_mode m;

	hv_ops->read_mode(v, &m);
	u32 bits = hv_mode_64(&m) ? 64 : 32;
	u64 mask = ~0ull >> (64 - bits);
	const u64 a[] = {gpr[GPR_RBX] & mask, gpr[GPR_RCX] & mask, gpr[GPR_RDX] & mask,
			 gpr[GPR_RSI] & mask};
	s64 r = m.cpl ? -KVM_EPERM : hypercall(v, gpr[GPR_RAX] & mask, a, bits);

	gpr[GPR_RAX] = (u64)r & mask;
}
