/* vmx/vmx.h with a VMCS that is an array. The instructions' own stay under other names. */
#pragma once

#define vmx_write cpu_vmx_write
#define vmcs_read32 cpu_vmcs_read32
#define vmcs_read64 cpu_vmcs_read64
#define vmcs_write16 cpu_vmcs_write16
#define vmcs_write32 cpu_vmcs_write32
#define vmcs_write64 cpu_vmcs_write64
#define vmx_block cpu_vmx_block
#include "vmx/vmx.h"
#undef vmx_write
#undef vmcs_read32
#undef vmcs_read64
#undef vmcs_write16
#undef vmcs_write32
#undef vmcs_write64
#undef vmx_block

static u64 vmcs[0x8000];

static inline void vmx_write(u32 field, u64 value) { vmcs[field] = value; }
static inline u32 vmcs_read32(struct vmcs_32 f) { return (u32)vmcs[f.id]; }
static inline u64 vmcs_read64(struct vmcs_64 f) { return vmcs[f.id]; }
static inline void vmcs_write16(struct vmcs_16 f, u16 value) { vmcs[f.id] = value; }
static inline void vmcs_write32(struct vmcs_32 f, u32 value) { vmcs[f.id] = value; }
static inline void vmcs_write64(struct vmcs_64 f, u64 value) { vmcs[f.id] = value; }
static inline void vmx_block(u32 set, u32 clear)
{
	vmcs_write32(VMCS_GUEST_BLOCKING, (vmcs_read32(VMCS_GUEST_BLOCKING) & ~clear) | set);
}
