/* Guest-physical memory of a VM. kernel/vm.c, kernel/vm_slot.c. */
#pragma once

#include "hv/vcpu.h"

/* Where the nested page table maps the address now; false when it does not. Interrupts off. */
bool vm_gpa_to_hpa(struct vm *vm, gpa_t a, hpa_t *out);

enum vm_fault {
	VM_FAULT_MAPPED,   /* mapped now, or by another CPU meanwhile: try again */
	VM_FAULT_READONLY, /* a write to a read-only slot */
	VM_FAULT_NONE,	   /* no slot */
	VM_FAULT_NOMEM,
};
/* A nested page fault: fills in the page from the slot, the largest that fits. */
enum vm_fault vm_slot_fault(struct vm *vm, gpa_t a, bool write);

/*
 * Drops every slot, when the VM was revoked: none is added any more, and no vCPU enters the guest.
 */
void vm_slots_drop(struct vm *vm);
