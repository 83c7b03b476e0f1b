/*
 * What power-on, INIT and SIPI make of a vCPU. Intel SDM 3, "Processor State After Reset",
 * "Multiple-Processor (MP) Initialization".
 */
#pragma once

#include "uapi/run.h"

#define CPU_INIT_GROUPS (STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_APIC | STATE_EVENT)

/* *s becomes the state of CPU `index`, but for MSRs and FPU; CPU 0 is the boot CPU. */
void cpu_power_on(struct vcpu_state *s, u32 index);
/* In: CPU_INIT_GROUPS and the MSRs as they were. Changes these. */
void cpu_init(struct vcpu_state *s);
/* Of a CPU that waits for it. Changes GPR, SEG and EVENT. */
void cpu_sipi(struct vcpu_state *s, u8 vector);

/* The local APIC's registers but IA32_APIC_BASE: also what disabling it does. */
void cpu_reset_apic(struct vcpu_state *s);
