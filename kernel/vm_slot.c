/*
 * Slots: ranges of memory objects in a VM's guest-physical space, filled into the nested page table
 * on first touch. Locks: vm->slot_lock, then mem->lock.
 */
#include "hv/up.h"
#include "hv/x86.h"
#include "kernel/domain.h"
#include "kernel/smp.h"
#include "kernel/syscall.h"
#include "kernel/vcpu.h"
#include "mm/ucopy.h"

#define GPA_MAX (1ull << 46)

static struct vm *vm_of(struct object *o) { return container_of(o, struct vm, obj); }

static struct mapping *find(struct vm *vm, u64 a)
{
	for (u32 i = 0; i < VM_SLOTS; i++) {
		struct mapping *s = &vm->slot[i];

		if (s->mem && a >= s->va && a - s->va < s->bytes)
			return s;
	}
	return NULL;
}

bool vm_gpa_to_hpa(struct vm *vm, gpa_t a, hpa_t *out)
{
	struct pt_leaf leaf;
	bool found;

	spin_lock(&vm->slot_lock);
	found = pt_lookup(&vm->npt, a.v, &leaf);
	spin_unlock(&vm->slot_lock);
	if (found)
		*out = hpa_add(leaf.start, a.v & (leaf.bytes - 1));
	return found;
}

/* ---- Faults ---- */

enum vm_fault vm_slot_fault(struct vm *vm, gpa_t a, bool write)
{
	enum vm_fault r = VM_FAULT_NONE;
	struct mapping *s;

	spin_lock(&vm->slot_lock);
	s = find(vm, a.v);
	if (s && (!write || s->prot & PROT_W))
		r = mapping_fill(s, &vm->npt, a.v) == -E_NOMEM ? VM_FAULT_NOMEM : VM_FAULT_MAPPED;
	spin_unlock(&vm->slot_lock);
	return r;
}

/* ---- Removal ---- */

static void wait_flushed(struct vcpu *v, u64 epoch)
{
	s32 cpu = __atomic_load_n(&v->cpu, __ATOMIC_ACQUIRE);

	if (!__atomic_load_n(&v->in_guest, __ATOMIC_SEQ_CST))
		return;
	if (cpu >= 0 && (u32)cpu != this_cpu()->id)
		smp_ipi((u32)cpu, IPI_RESCHED);
	/*
	 * A guest leaves on the physical interrupt, whatever locks are held: this wait is bounded.
	 */
	while (__atomic_load_n(&v->in_guest, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&v->npt_seen, __ATOMIC_ACQUIRE) < epoch)
		cpu_relax();
}

/* Nested entries were removed: returns when no vCPU runs with a nested TLB from before. */
static void npt_flush(struct vm *vm)
{
	u64 epoch = __atomic_add_fetch(&vm->npt_epoch, 1, __ATOMIC_SEQ_CST);

	for (u32 i = 0; i < VM_MAX_VCPUS; i++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpu[i], __ATOMIC_ACQUIRE);

		if (v)
			wait_flushed(v, epoch);
	}
}

/*
 * Takes the slot out of the VM and of the object's list; the reference is the caller's now.
 * slot_lock is held.
 */
static struct mem *detach(struct mapping *s)
{
	struct mem *m = s->mem;

	mem_detach(s);
	s->mem = NULL;
	return m;
}

/* A step of the removal of a slot. slot_lock is held, and released. */
static void remove_step(struct vm *vm, struct mapping *s)
{
	struct mem *mem = mapping_shrink(s, &vm->npt) ? detach(s) : NULL;

	spin_unlock(&vm->slot_lock);
	if (mem) {
		npt_flush(vm);
		object_put(&mem->obj);
	}
}

void up_vm_slot_unmap_step(struct vm *vm, struct mem *m)
{
	spin_lock(&vm->slot_lock);
	for (u32 i = 0; i < VM_SLOTS; i++)
		if (vm->slot[i].mem == m) {
			remove_step(vm, &vm->slot[i]);
			return;
		}
	spin_unlock(&vm->slot_lock);
}

void vm_slots_drop(struct vm *vm)
{
	for (u32 i = 0; i < VM_SLOTS; i++) {
		struct mem *mem = NULL;

		spin_lock(&vm->slot_lock);
		if (vm->slot[i].mem)
			mem = detach(&vm->slot[i]);
		spin_unlock(&vm->slot_lock);
		if (mem)
			object_put(&mem->obj);
	}
}

/* ---- vm_slot_set ---- */

/* The page where the local APICs are is never memory. */
static int check(const struct vm_slot *s, const struct mem *m)
{
	if (!IS_ALIGNED(s->gpa | s->offset | s->bytes, PAGE_SIZE) || s->gpa >= GPA_MAX ||
	    s->bytes > GPA_MAX - s->gpa || s->offset > m->bytes ||
	    s->bytes > m->bytes - s->offset || APIC_DEFAULT_BASE - s->gpa < s->bytes)
		return -E_INVAL;
	return 0;
}

static bool overlaps(const struct vm *vm, u32 except, const struct vm_slot *n)
{
	for (u32 i = 0; i < VM_SLOTS; i++) {
		const struct mapping *s = &vm->slot[i];

		if (i != except && s->mem && n->gpa < s->va + s->bytes && s->va < n->gpa + n->bytes)
			return true;
	}
	return false;
}

/* m: NULL to remove only. */
static s64 replace(struct vm *vm, u32 index, const struct vm_slot *n, struct mem *m)
{
	struct mapping *s = &vm->slot[index];
	s64 r = 0;

	spin_lock(&vm->slot_lock);
	if (vm->slot_busy)
		r = -E_BUSY;
	else if (m && overlaps(vm, index, n))
		r = -E_EXIST;
	else if (!m && !s->mem)
		r = -E_NOENT;
	if (!r) {
		vm->slot_busy = true;
		/*
		 * No other removal by a call, and no new slot, comes between; a revocation of the
		 * object may.
		 */
		while (s->mem) {
			remove_step(vm, s);
			preempt_point();
			spin_lock(&vm->slot_lock);
		}
		if (m) { /* a revocation that comes later finds the entry */
			*s = (struct mapping){.vm = vm,
					      .mem = m,
					      .va = n->gpa,
					      .bytes = n->bytes,
					      .offset = n->offset};
			s->prot = PROT_R | PROT_X | (n->flags & VM_SLOT_READONLY ? 0 : PROT_W);
			r = __atomic_load_n(&vm->obj.dead, __ATOMIC_SEQ_CST) ? -E_DEAD
									     : mem_attach(m, s);
			s->mem = r ? NULL : m;
		}
		vm->slot_busy = false;
	}
	spin_unlock(&vm->slot_lock);
	return r;
}

s64 sys_vm_slot_set(struct object *obj, const struct sys_args *args)
{
	struct vm *vm = vm_of(obj);
	struct mem *m = NULL;
	struct vm_slot n;
	struct object *o;
	s64 r;

	if (vm->owner != current_domain())
		return -E_RIGHTS;
	r = ucopy_in(&n, args->a[2], sizeof(n));
	if (r)
		return r;
	if (args->a[1] >= VM_SLOTS || n.size != sizeof(n) || (n.flags & ~(u32)VM_SLOT_READONLY) ||
	    n.reserved)
		return -E_INVAL;
	if (n.bytes) {
		u32 rights = R_READ | (n.flags & VM_SLOT_READONLY ? 0 : R_WRITE);

		r = handle_lookup(n.memory, OBJ_MEM, rights, &o);
		if (r)
			return r;
		m = container_of(o, struct mem, obj);
		r = check(&n, m);
		if (r)
			return r;
		object_get(o);
	}
	object_get(&vm->obj);
	r = replace(vm, (u32)args->a[1], &n, m);
	if (m)
		object_put(&m->obj);
	object_put(&vm->obj);
	return r;
}
