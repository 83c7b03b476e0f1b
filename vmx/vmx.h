/* The VT-x back-end: its own structures and what its files share. Intel SDM 3, "VMX". */
#pragma once

#include "arch/cpu.h"
#include "hv/slow.h"
#include "hv/vendor.h"
#include "hw/vmcs.h"
#include "mm/aspace.h"

/* ---- vmx_caps.c ---- */

/* What was negotiated from the capability MSRs. [I] before the first VM */
struct vmx_caps {
	u32 pin, proc, proc2, exit, entry; /* what the controls of a vCPU start with */
	bool vpid;   /* in proc2, and all tags can be thrown away by INVVPID */
	bool ept_ad; /* accessed and dirty flags */
	u8 ept_leaf; /* highest level that may hold a page: 1..3 */
	u8 invept;   /* enum vmx_invalidate: the narrowest INVEPT there is */
};
extern struct vmx_caps vmx_caps;

/*
 * Pure function of f->vmx_msr. NULL: usable, *c is filled in; else a line that names what is
 * required and missing.
 */
const char *vmx_negotiate(const struct cpu_facts *f, struct vmx_caps *c);
bool vmx_probe(const struct cpu_facts *f, const char **why);
void vmx_features(char *buf, size_t size);
/* A notice line for each optional control that is missing: what is done instead. */
void vmx_fallbacks(void);

/* ---- Access to the current VMCS ---- */

/* False: the CPU has no such field. */
static inline bool vmx_read(u32 field, u64 *value)
{
	bool ok;

	SLOW_OP();
	__asm__ volatile("vmread %2, %1" : "=@cca"(ok), "=r"(*value) : "r"((u64)field));
	return ok;
}

static inline u64 vmx_read_known(u32 field)
{
	u64 value;

	SLOW_OP();
	__asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((u64)field) : "cc");
	return value;
}

static inline void vmx_write(u32 field, u64 value)
{
	SLOW_OP();
	__asm__ volatile("vmwrite %1, %0" : : "r"((u64)field), "r"(value) : "cc");
}

static inline u16 vmcs_read16(struct vmcs_16 f) { return (u16)vmx_read_known(f.id); }
static inline u32 vmcs_read32(struct vmcs_32 f) { return (u32)vmx_read_known(f.id); }
static inline u64 vmcs_read64(struct vmcs_64 f) { return vmx_read_known(f.id); }
static inline void vmcs_write16(struct vmcs_16 f, u16 value) { vmx_write(f.id, value); }
static inline void vmcs_write32(struct vmcs_32 f, u32 value) { vmx_write(f.id, value); }
static inline void vmcs_write64(struct vmcs_64 f, u64 value) { vmx_write(f.id, value); }
