#include "kernel/trace.h"

#include "hv/vendor.h"
#include "hv/x86.h"
#include "kernel/domain.h"
#include "lib/string.h"
#include "mm/ucopy.h"

#define RING_ORDER 5
static_assert(sizeof(struct trace_record) * TRACE_RECORDS == PAGE_SIZE << RING_ORDER, "fills it");

static struct ring {
	u64 head;		     /* [a] records written: only by its CPU, with interrupts off */
	struct trace_record *record; /* [a] NULL: none yet */
} __aligned(64) rings[MAX_CPUS];

bool trace_on;

static void put(struct trace_record t)
{
	struct ring *r = &rings[this_cpu()->id];

	t.tsc = rdtsc();
	/* Who reads while a record is overwritten finds that head has reached it. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	r->record[r->head % TRACE_RECORDS] = t;
	__atomic_store_n(&r->head, r->head + 1, __ATOMIC_RELEASE);
}

void trace_thread_put(enum trace_kind kind, const struct thread *t, u32 cpu)
{
	const struct vm *vm = __atomic_load_n(&t->domain->vm, __ATOMIC_RELAXED);
	struct trace_record r = {.ran = cpu, .vm = vm ? (u16)vm->id : 0, .kind = (u8)kind};

	r.vcpu = t->vcpu ? (u8)t->vcpu->index : TRACE_NO_VCPU;
	str_copy(r.name, t == this_cpu()->idle ? "idle" : t->domain->name, sizeof(r.name));
	put(r);
}

/* ---- Around the back-end's callbacks ---- */

static const struct hv_ops *plain;
static struct hv_ops traced;

static void put_vcpu(const struct vcpu *v, u32 kind, u64 ran, u64 a, u64 b)
{
	u32 ticks = (u32)MIN(ran, ~0u);

	put((struct trace_record){0, ticks, (u16)v->vm->id, (u8)v->index, (u8)kind, {{a, b}}});
}

static u64 detail(const struct vcpu *v)
{
	switch (v->exit.reason) {
	case HV_EXIT_MSR_READ:
	case HV_EXIT_MSR_WRITE: return (u32)v->priv->regs.gpr[GPR_RCX];
	case HV_EXIT_CPUID:
	case HV_EXIT_HYPERCALL: return (u32)v->priv->regs.gpr[GPR_RAX];
	default: return v->exit.npf.gpa.v; /* or what stands there instead */
	}
}

static bool enter(struct vcpu *v)
{
	u64 start = rdtsc();
	bool irq_taken = plain->enter(v);

	if (irq_taken)
		put_vcpu(v, TRACE_INJECT, 0, v->lapic.offered, 0);
	put_vcpu(v, TRACE_EXIT + v->exit.reason, rdtsc() - start, v->priv->regs.rip, detail(v));
	return irq_taken;
}

static void inject(struct vcpu *v, u32 event, u32 error)
{
	put_vcpu(v, TRACE_INJECT, 0, event, error);
	plain->inject(v, event, error);
}

/* Where the CPU delivers by itself, this is the last that is seen of an interrupt. */
static void offer_irq(struct vcpu *v, u8 vector)
{
	if (vector)
		put_vcpu(v, TRACE_INJECT, 0, vector, 0);
	plain->offer_irq(v, vector);
}

/* Two calls at once may make a ring twice: then the first one is never used. */
static bool make_rings(void)
{
	for (u32 i = 0; i < cpu_count; i++) {
		if (!rings[i].record)
			rings[i].record = kmem_alloc(kernel_quota, PAGE_SIZE << RING_ORDER);
		if (!rings[i].record)
			return false;
		preempt_point();
	}
	return true;
}

s64 trace_set(union sys_request *unused, u64 on)
{
	const struct hv_ops *ops = __atomic_load_n(&hv_ops, __ATOMIC_ACQUIRE);

	if (on && !make_rings())
		return -E_NOMEM;
	if (on && ops && ops != &traced) { /* else another call has done it */
		plain = ops;
		traced = *ops;
		traced.enter = enter;
		traced.inject = inject;
		traced.offer_irq = offer_irq;
	}
	if (ops)
		__atomic_store_n(&hv_ops, on ? &traced : plain ? plain : ops, __ATOMIC_RELEASE);
	__atomic_store_n(&trace_on, on != 0, __ATOMIC_RELEASE);
	return 0;
}

/* A slot that the CPU may be writing holds the record before the oldest whole one. */
static u64 oldest(u64 head) { return head - MIN(head, TRACE_RECORDS - 1); }

int trace_read(struct trace_read *r)
{
	struct ring *ring = &rings[r->cpu % MAX_CPUS];
	struct trace_record out[TRACE_CHUNK];
	u64 first, skip;

	if (r->cpu >= MAX_CPUS || !__atomic_load_n(&ring->record, __ATOMIC_ACQUIRE))
		return -E_NOENT;
	r->head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	first = MIN(MAX(r->pos, oldest(r->head)), r->head);
	r->records = (u32)MIN(MIN(r->records, TRACE_CHUNK), r->head - first);
	for (u32 i = 0; i < r->records; i++)
		out[i] = ring->record[(first + i) % TRACE_RECORDS];
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	/* What was overwritten meanwhile is lost as well. */
	r->pos = MAX(first, oldest(__atomic_load_n(&ring->head, __ATOMIC_RELAXED)));
	skip = MIN(r->pos - first, r->records);
	r->records -= (u32)skip;
	return ucopy_out(r->buf, out + skip, r->records * sizeof(*out));
}
