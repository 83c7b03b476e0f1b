/*
 * The VMCS to the log, when a VM stops for a reason of the kernel's. The guest's registers are
 * dumped by common code.
 */
#include "vmx/vmx.h"

#include "hv/up.h"
#include "lib/fmt.h"

#define A_LINE 3

static const struct {
	u32 number;
	const char *name;
} fields[] = {
#define NAMED(bits, name, number) {number, #name},
	VMCS_FIELDS(NAMED)};

/* Intel SDM 3, "VM-Instruction Error Numbers": those that an entry can end with. */
const char *vmx_error_text(u32 error)
{
	switch (error) {
	case 4: return "VMLAUNCH with a VMCS that is not clear";
	case 5: return "VMRESUME with a VMCS that is not launched";
	case 7: return "a control field is invalid";
	case 8: return "a host-state field is invalid";
	case 26: return "events are blocked by MOV SS";
	default: return "see the SDM's VM-instruction error numbers";
	}
}

/* What went wrong in the nested table: a misconfiguration is a bug of ours. */
static void dump_nested(struct vcpu *v)
{
	u64 a = vmcs_read64(VMCS_GUEST_PHYSICAL_ADDRESS);
	struct pt_leaf leaf;
	bool present = pt_lookup(&v->vm->space.pt, a, &leaf);

	log_notice("vmx: EPT entry for %#lx: %#lx, %s", a, *leaf.entry,
		   present ? "present" : "not present");
}

bool vmx_dump(struct vcpu *v, u32 line)
{
	u32 first = line * A_LINE, end = MIN(first + A_LINE, (u32)ARRAY_SIZE(fields));
	char text[160];
	size_t n = 0;
	u64 value;

	if (!line && vmcs_read32(VMCS_EXIT_REASON) == EXIT_EPT_MISCONFIG)
		dump_nested(v);
	for (u32 i = first; i < end; i++)
		if (vmx_read(fields[i].number, &value))
			n += (size_t)fmt_snprintf(text + n, sizeof(text) - n, " %s %lx",
						  fields[i].name, value);
	if (n)
		log_notice("vmx:%s", text);
	return end < ARRAY_SIZE(fields);
}
