#include "vmm/cpu_reset.h"

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/msr.h"
#include "lib/string.h"

#define DATA_ATTR (SEG_ATTR_P | SEG_ATTR_S | 3)
#define CODE_ATTR (SEG_ATTR_P | SEG_ATTR_S | 11)
#define DR6_RESET 0xffff0ff0u

static u32 *reg(struct vcpu_state *s, enum apic_reg offset) { return &s->apic.reg[offset >> 4]; }

void cpu_reset_apic(struct vcpu_state *s)
{
	memset(s->apic.reg, 0, sizeof(s->apic.reg));
	*reg(s, APIC_DFR) = ~0u;
	*reg(s, APIC_SVR) = 0xff;
	for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
		*reg(s, lvt) = APIC_LVT_MASKED;
	/*
	 * Firmware leaves the PIC wired through LINT0 of the boot CPU; guests are started without
	 * firmware.
	 */
	if (s->apic.base & APIC_BASE_BSP)
		*reg(s, APIC_LVT_LINT0) = APIC_DM_EXTINT << 8;
}

static void reset_segments(struct vcpu_state *s)
{
	for (u32 i = 0; i <= SEG_GS; i++)
		s->seg[i] = (struct seg_state){.attr = DATA_ATTR, .limit = 0xffff};
	s->seg[SEG_CS] = (struct seg_state){0xf000, CODE_ATTR, 0xffff, 0xffff0000};
	s->seg[SEG_LDTR] = (struct seg_state){.attr = SEG_ATTR_P | 2, .limit = 0xffff};
	s->seg[SEG_TR] = (struct seg_state){.attr = SEG_ATTR_P | 11, .limit = 0xffff};
	s->gdtr = s->idtr = (struct table_state){.limit = 0xffff};
}

void cpu_init(struct vcpu_state *s)
{
	memset(s->gpr, 0, sizeof(s->gpr));
	s->gpr[GPR_RDX] = 0x600; /* family 6 */
	s->rip = 0xfff0;
	s->rflags = RFLAGS_FIXED;
	reset_segments(s);
	s->cr0 = CR0_ET | (s->cr0 & (CR0_CD | CR0_NW));
	s->cr2 = s->cr3 = s->cr4 = s->cr8 = s->efer = 0;
	memset(s->dr, 0, sizeof(s->dr));
	s->dr6 = DR6_RESET;
	s->dr7 = DR7_FIXED;
	memset(s->msr.pv, 0, sizeof(s->msr.pv));
	cpu_reset_apic(s);
	memset(&s->event, 0, sizeof(s->event));
	s->event.activity = s->apic.base & APIC_BASE_BSP ? VCPU_RUNNABLE : VCPU_WAIT_SIPI;
}

void cpu_power_on(struct vcpu_state *s, u32 index)
{
	memset(s, 0, sizeof(*s));
	s->size = sizeof(*s);
	s->groups = CPU_INIT_GROUPS;
	s->cr0 = CR0_CD | CR0_NW;
	s->xcr0 = XCR0_X87;
	s->apic.base = APIC_DEFAULT_BASE | APIC_BASE_ENABLE | (index ? 0 : APIC_BASE_BSP);
	cpu_init(s);
}

void cpu_sipi(struct vcpu_state *s, u8 vector)
{
	s->seg[SEG_CS].selector = (u16)(vector << 8);
	s->seg[SEG_CS].base = (u64)vector << 12;
	s->rip = 0;
	s->event.activity = VCPU_RUNNABLE;
}
