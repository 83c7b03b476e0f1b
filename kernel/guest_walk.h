/*
 * Reads guest code through the guest's page tables, for the length and operands of the instruction
 * at rip. Only on the CPU where the vCPU is loaded, interrupts off. Reads, never sets accessed
 * bits: the CPU has fetched the instruction already.
 */
#pragma once

#include "hv/vcpu.h"
#include "lib/insn_decode.h"

/*
 * The instruction at rip, from the exit's bytes or from memory. False: not readable or not
 * decodable.
 */
bool guest_decode(struct vcpu *v, struct insn *out);

/*
 * Reads the memory operand of an instruction at rip; false when its page is not mapped. Segment
 * limits are not checked.
 */
bool guest_read_operand(struct vcpu *v, const struct insn *insn, void *buf, u32 n);

/* Forgets the windows: another CPU, or other frames in them. At load and unload. */
void guest_walk_reset(struct vcpu *v);
/* Empties the windows of this CPU. */
void guest_walk_unload(struct vcpu *v);
