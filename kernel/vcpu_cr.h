/*
 * Writes of control and debug registers, EFER and XCR0 by the guest. Intel SDM 3, "Control
 * Registers".
 */
#pragma once

#include "kernel/vcpu_run.h"

/*
 * The rules of a write (kernel/cr_rules.c), pure. False = #GP. *value loses the bits that the CPU
 * ignores.
 */
bool cr0_check(const struct hv_mode *m, u64 *value);
bool cr4_check(const struct hv_mode *m, u64 value);
bool efer_check(const struct hv_mode *m, u64 *value);

/* IA32_EFER as the guest's RDMSR and WRMSR see it; write: false = #GP. */
u64 vcpu_efer_read(struct vcpu *v);
bool vcpu_efer_write(struct vcpu *v, u64 value);

/*
 * Exits; each carries out the instruction or injects the fault. length: as the table of exits has
 * it.
 */
enum vcpu_step vcpu_exit_cr(struct vcpu *v, u32 length);
enum vcpu_step vcpu_exit_dr(struct vcpu *v, u32 length);
enum vcpu_step vcpu_exit_xsetbv(struct vcpu *v, u32 length);
