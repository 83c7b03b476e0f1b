/* Interrupt messages: which vCPUs a destination names, and what each delivery mode does there. */
#include "kernel/vlapic.h"

static bool logical_match(const struct vcpu *v, u32 dest)
{
	u32 ldr = v->lapic.page[APIC_LDR / 4];

	if (vlapic_x2apic(v))
		return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
	ldr >>= 24;
	if (v->lapic.page[APIC_DFR / 4] >> 28 == 0xf) /* flat */
		return dest & ldr & 0xff;
	return (dest >> 4 & 0xf) == ldr >> 4 && (dest & ldr & 0xf); /* cluster */
}

static bool match(const struct vcpu *v, const struct vlapic_msg *m)
{
	if (m->shorthand != VLAPIC_NO_SHORTHAND)
		return m->shorthand == VLAPIC_ALL || v != m->source;
	if (m->broadcast)
		return true;
	return m->logical ? logical_match(v, m->dest) : v->index == m->dest;
}

/* Own interrupts are edge-triggered IPIs and need no posting: the sender owns its IRR. */
static void accept_own(struct vcpu *v, u8 vector)
{
	vlapic_set_bit(&v->lapic, APIC_IRR, vector, true);
	vlapic_set_bit(&v->lapic, APIC_TMR, vector, false);
	v->lapic.update = true;
}

static void signal(struct vcpu *v, u32 *flag, u32 value, enum vcpu_kick_bits kick)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
	vcpu_kick(v, kick);
}

/* An APIC that is switched off gets nothing: the PIC's line goes past it. */
static void accept(struct vcpu *v, const struct vlapic_msg *m)
{
	struct vlapic *l = &v->lapic;
	u32 reset;

	if (unlikely(!vlapic_enabled(v) && m->mode != APIC_DM_EXTINT))
		return;
	switch (m->mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		if (unlikely(m->vector < 16))
			vlapic_error(v, ESR_RECEIVE_ILLEGAL);
		else if (vlapic_software_enabled(v) && v == m->source)
			accept_own(v, m->vector);
		else if (vlapic_software_enabled(v))
			vlapic_post(v, m->vector, m->level);
		break;
	case APIC_DM_NMI: /* who waits for SIPI hears nothing else */
		if (v->activity != VCPU_WAIT_SIPI ||
		    __atomic_load_n(&l->reset, __ATOMIC_RELAXED) & VLAPIC_SIPI)
			vlapic_nmi(v);
		break;
	case APIC_DM_INIT: /* what came before it found no CPU that waits */
		signal(v, &l->reset, VLAPIC_INIT, KICK_RESET);
		break;
	case APIC_DM_STARTUP: /* the first one starts it */
		reset = __atomic_load_n(&l->reset, __ATOMIC_RELAXED);
		while (!(reset & VLAPIC_SIPI) &&
		       !__atomic_compare_exchange_n(&l->reset, &reset,
						    reset | VLAPIC_SIPI | m->vector, false,
						    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			;
		vcpu_kick(v, KICK_RESET);
		break;
	case APIC_DM_EXTINT:
		if (!m->source) /* no CPU sends one */
			signal(v, &l->extint, 1, KICK_IRQ);
		break;
	default: break; /* SMI: there is no SMM */
	}
}

/* The one with the least urgent work; of several alike each in turn. */
static struct vcpu *lowest(struct vm *vm, const struct vlapic_msg *m)
{
	struct vcpu *v, *found = NULL;
	u32 next = __atomic_load_n(&vm->lowest_next, __ATOMIC_RELAXED);

	for (u32 i = 0; i < VM_MAX_VCPUS; i++) {
		v = __atomic_load_n(&vm->vcpu[(next + i) % VM_MAX_VCPUS], __ATOMIC_ACQUIRE);
		if (v && match(v, m) && vlapic_software_enabled(v) &&
		    (!found || vlapic_ppr(v) >> 4 < vlapic_ppr(found) >> 4))
			found = v;
	}
	if (found)
		__atomic_store_n(&vm->lowest_next, found->index + 1, __ATOMIC_RELAXED);
	return found;
}

void vlapic_send(struct vm *vm, const struct vlapic_msg *m)
{
	struct vcpu *v = NULL;

	/* A level's end is no message; INIT's only mattered to CPUs of the last century. */
	if (m->level && !m->assert)
		return;
	if (!m->logical && !m->broadcast && m->shorthand == VLAPIC_NO_SHORTHAND) {
		if (m->dest < VM_MAX_VCPUS)
			v = __atomic_load_n(&vm->vcpu[m->dest], __ATOMIC_ACQUIRE);
	} else if (m->mode == APIC_DM_LOWEST) {
		v = lowest(vm, m);
	} else {
		for (u32 i = 0; i < VM_MAX_VCPUS; i++) {
			v = __atomic_load_n(&vm->vcpu[i], __ATOMIC_ACQUIRE);
			if (v && match(v, m))
				accept(v, m);
		}
		return;
	}
	if (v)
		accept(v, m);
}

void vlapic_msi(struct vm *vm, u64 address, u32 data)
{
	struct vlapic_msg m = {
		.dest = (u32)(address >> 12) & 0xff,
		.logical = address & MSI_ADDR_LOGICAL,
		.vector = (u8)data,
		.mode = data >> 8 & 7,
		.level = data & MSI_DATA_LEVEL,
		.assert = data & APIC_ICR_ASSERT,
	};

	m.broadcast = m.dest == 0xff;
	if (m.mode == APIC_DM_FIXED && m.logical && address & MSI_ADDR_REDIRECT)
		m.mode = APIC_DM_LOWEST;
	/* An ExtINT pin is wired to the boot CPU, whatever the destination says. */
	if (m.mode == APIC_DM_EXTINT) {
		m.broadcast = m.logical = false;
		m.dest = 0;
	}
	vlapic_send(vm, &m);
}

void vlapic_ipi(struct vcpu *v, u32 low, u32 high)
{
	u32 mode = low >> 8 & 7, shorthand = low >> 18 & 3;
	bool x2 = vlapic_x2apic(v);

	if ((mode == APIC_DM_FIXED || mode == APIC_DM_LOWEST) && (u8)low < 16) {
		vlapic_error(v, ESR_SEND_ILLEGAL);
		return;
	}
	/* self and all-with-self only carry fixed ones */
	if ((shorthand == VLAPIC_SELF || shorthand == VLAPIC_ALL) && mode != APIC_DM_FIXED)
		return;
	if (shorthand == VLAPIC_SELF) {
		if (vlapic_software_enabled(v))
			accept_own(v, (u8)low);
		return;
	}
	struct vlapic_msg m = {
		.dest = x2 ? high : high >> 24,
		.broadcast = x2 ? high == ~0u : high >> 24 == 0xff,
		.vector = (u8)low,
		.mode = (u8)mode,
		.logical = low & APIC_ICR_LOGICAL,
		.level = mode == APIC_DM_INIT && low & APIC_ICR_LEVEL, /* others have an edge */
		.assert = low & APIC_ICR_ASSERT,
		.shorthand = shorthand,
		.source = v,
	};

	vlapic_send(v->vm, &m);
}
