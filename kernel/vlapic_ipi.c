/* Interrupt messages: which vCPUs a destination names, and what each delivery mode does there. */
#include "arch/apic.h"
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

/* Own fixed interrupts need no posting: the sender owns its IRR. */
static void accept_fixed(struct vcpu *v, const struct vlapic_msg *m)
{
	struct vlapic *l = &v->lapic;

	if (v != m->source) {
		vlapic_post(v, m->vector, m->level);
		return;
	}
	vlapic_set_bit(l, APIC_IRR, m->vector, true);
	vlapic_set_bit(l, APIC_TMR, m->vector, m->level);
	l->update = true;
}

static bool signal(struct vcpu *v, u32 *flag, u32 value, enum vcpu_kick_bits kick)
{
	__atomic_store_n(flag, value, __ATOMIC_RELEASE);
	vcpu_kick(v, kick);
	return true;
}

static bool accept(struct vcpu *v, const struct vlapic_msg *m)
{
	switch (m->mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		if (!vlapic_software_enabled(v) || m->vector < 16)
			return false;
		accept_fixed(v, m);
		return true;
	case APIC_DM_NMI:
		if (!vlapic_enabled(v))
			return false;
		vlapic_nmi(v);
		return true;
	case APIC_DM_INIT: return signal(v, &v->lapic.init, 1, KICK_RESET);
	case APIC_DM_STARTUP:
		return signal(v, &v->lapic.sipi_vector, 0x100u | m->vector, KICK_RESET);
	case APIC_DM_EXTINT: return signal(v, &v->lapic.extint, 1, KICK_IRQ);
	default: return false; /* SMI: there is no SMM */
	}
}

u32 vlapic_send(struct vm *vm, const struct vlapic_msg *m)
{
	struct vcpu *v, *lowest = NULL;
	u32 accepted = 0;

	/* INIT level de-assert only matters to CPUs of the last century. */
	if (m->mode == APIC_DM_INIT && m->level && !m->assert)
		return 0;
	if (m->shorthand == VLAPIC_SELF)
		return accept(m->source, m);
	if (!m->logical && !m->broadcast && m->shorthand == VLAPIC_NO_SHORTHAND) {
		v = m->dest < VM_MAX_VCPUS ? __atomic_load_n(&vm->vcpu[m->dest], __ATOMIC_ACQUIRE)
					   : NULL;
		return v && accept(v, m);
	}
	for (u32 i = 0; i < VM_MAX_VCPUS; i++) {
		v = __atomic_load_n(&vm->vcpu[i], __ATOMIC_ACQUIRE);
		if (!v || !match(v, m))
			continue;
		if (m->mode != APIC_DM_LOWEST)
			accepted += accept(v, m);
		else if (vlapic_software_enabled(v) &&
			 (!lowest || *vlapic_reg(v, APIC_TPR) < *vlapic_reg(lowest, APIC_TPR)))
			lowest = v;
	}
	return accepted + (lowest && accept(lowest, m));
}

u32 vlapic_msi(struct vm *vm, u64 address, u32 data)
{
	struct vlapic_msg m = {
		.dest = (u32)(address >> 12) & 0xff,
		.logical = address & MSI_ADDR_LOGICAL,
		.vector = (u8)data,
		.mode = data >> 8 & 7,
		.level = data & MSI_DATA_LEVEL,
		.assert = true,
	};

	m.broadcast = m.dest == 0xff;
	/* An ExtINT pin is wired to the boot CPU, whatever the destination says. */
	if (m.mode == APIC_DM_EXTINT) {
		m.broadcast = m.logical = false;
		m.dest = 0;
	}
	return vlapic_send(vm, &m);
}

void vlapic_icr_write(struct vcpu *v, u32 low, u32 high)
{
	struct vlapic_msg m = {
		.vector = (u8)low,
		.mode = low >> 8 & 7,
		.logical = low & APIC_ICR_LOGICAL,
		.level = low & APIC_ICR_LEVEL,
		.assert = low & APIC_ICR_ASSERT,
		.shorthand = low >> 18 & 3,
		.source = v,
	};
	bool x2 = vlapic_x2apic(v);

	*vlapic_reg(v, APIC_ICR) = low & ~APIC_ICR_BUSY;
	*vlapic_reg(v, APIC_ICR_HIGH) = high;
	m.dest = x2 ? high : high >> 24;
	m.broadcast = m.dest == (x2 ? ~0u : 0xffu);
	if ((m.mode == APIC_DM_FIXED || m.mode == APIC_DM_LOWEST) && m.vector < 16) {
		vlapic_error(v, ESR_SEND_ILLEGAL);
		return;
	}
	/* IPIs are edge-triggered, but for INIT; self and all-with-self only carry fixed ones. */
	if (m.mode != APIC_DM_INIT)
		m.level = false;
	if ((m.shorthand == VLAPIC_SELF || m.shorthand == VLAPIC_ALL) && m.mode != APIC_DM_FIXED)
		return;
	vlapic_send(v->vm, &m);
}
