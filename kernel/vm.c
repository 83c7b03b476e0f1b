/* VMs: life, statistics, interrupt messages. */

#include "hv/x86.h"
#include "kernel/domain.h"
#include "kernel/syscall.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"
#include "mm/ucopy.h"

struct guest_bits guest_bits;
static u32 vm_ids; /* [a] */

static struct vm *vm_of(struct object *o) { return container_of(o, struct vm, obj); }

/* Who found it through its domain before this is gone before it is freed: one epoch later. */
static void vm_revoke(struct object *o)
{
	struct vm *vm = vm_of(o);
	struct domain *d = vm->owner;

	spin_lock(&d->lock);
	if (d->vm == vm)
		d->vm = NULL;
	spin_unlock(&d->lock);
	vcpu_stop_all(vm);
	/* Before the epoch: who finds the VM through an object's list must not find it freed. */
	while (!aspace_clear_step(&vm->space))
		preempt_point(); /* each step waits for other CPUs */
}

static bool vm_destroy_step(struct object *o)
{
	struct vm *vm = vm_of(o);

	if (!aspace_destroy_step(&vm->space))
		return false;
	if (vm->apic_page)
		kmem_free(o->quota, vm->apic_page, PAGE_SIZE);
	return true;
}

const struct object_ops vm_object_ops = {
	.revoke = vm_revoke,
	.destroy_step = vm_destroy_step,
};

static int vm_init(struct vm *vm)
{
	struct domain *d = vm->owner;
	int r = pt_init(&vm->space.pt, hv_ops->nested_format, vm->obj.quota);

	if (r)
		return r;
	spin_lock(&d->lock);
	if (d->vm)
		r = -E_EXIST;
	else
		d->vm = vm;
	spin_unlock(&d->lock);
	return r;
}

s64 sys_vm_create(struct object *obj, const struct sys_args *args)
{
	struct domain *d = current_domain();
	struct vm *vm;
	int r;

	if (!hv_ops)
		return -E_NODEV;
	vm = object_new(OBJ_VM, sizeof(*vm), &d->quota);
	if (!vm)
		return -E_NOMEM;
	vm->owner = d;
	vm->space.guest = true;
	vm->space.quota = vm->obj.quota;
	vm->id = __atomic_add_fetch(&vm_ids, 1, __ATOMIC_RELAXED);
	vm->space.epoch = 1;
	r = vm_init(vm);
	if (r) {
		object_put(&vm->obj);
		return r;
	}
	return handle_install(d, &vm->obj, R_DUP | R_REVOKE | R_INFO | R_MANAGE);
}

s64 sys_vm_msi(struct object *obj, const struct sys_args *args)
{
	struct vm *vm = vm_of(obj);

	if (args->a[2] >> 32)
		return -E_INVAL;
	vlapic_msi(vm, args->a[1], (u32)args->a[2]);
	return 0;
}

s64 sys_vm_policy(struct object *obj, const struct sys_args *args)
{
	struct vm_policy *p = &vm_of(obj)->policy;
	u32 size;
	int r = ucopy_in(&size, args->a[1], sizeof(size));

	if (!r && size != sizeof(*p))
		r = -E_INVAL;
	return r ? r : ucopy_in(p, args->a[1], sizeof(*p));
}

void vm_stats(struct vm *vm, struct domain_info *i)
{
	for (u32 n = 0; n < VM_MAX_VCPUS; n++) {
		struct vcpu *v = __atomic_load_n(&vm->vcpu[n], __ATOMIC_ACQUIRE);

		if (!v)
			continue;
		i->vcpus++;
		i->vcpu_ns[n] = v->cpu_ns;
		i->vcpu_cpu[n] = (u8)v->ran_on;
		i->vcpu_state[n] = (u8)(1 + v->activity);
		for (u32 row = 0; row < STAT_ROWS; row++)
			i->exits[row] += v->stat[row];
	}
}
static_assert(DOMAIN_VCPUS == VM_MAX_VCPUS, "struct domain_info has room for each vCPU");
