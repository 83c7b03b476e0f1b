/* The VT-x back-end: its own structures and what its files share. Intel SDM 3, "VMX". */
#pragma once

#include "arch/cpu.h"
#include "hv/vendor.h"
#include "hv/x86.h"
#include "hw/vmcs.h"

/*
 * MSRs that the CPU does not switch at entry and exit: the order of a vCPU's, of the host's and of
 * the first ones in struct vcpu_state.
 */
/* clang-format off */
enum vmx_shared_msr {
	SHARED_STAR, SHARED_LSTAR, SHARED_CSTAR, SHARED_SFMASK, SHARED_KERNEL_GS, SHARED_TSC_AUX,
	SHARED_MSRS
};
/* clang-format on */

/* Per CPU, by its id; owned by that CPU. */
struct vmx_cpu {
	u64 vpid_generation; /* vCPUs with an older one take a new VPID */
	u32 next_vpid;	     /* > VPID_MAX: the next one starts a generation */
	u64 host_msr[SHARED_MSRS];
	struct table_register gdtr; /* an exit leaves a limit of 64 KiB */
};
#define VPID_MAX 0xffffu

/*
 * Bits that the guest changes without an exit. CR4.MCE is none: with it clear a machine check would
 * stop the machine, not leave the guest.
 */
#define VMX_CR4_GUEST_OWNED                                                                        \
	(guest_bits.cr4 & ~(u64)(CR4_MCE | (vmx_caps.unrestricted ? 0 : VMX_CR4_PAGING)))
/* Those that mean something else, or fault, in the tables that stand in for no paging. */
#define VMX_CR4_PAGING (CR4_PSE | CR4_PAE | CR4_SMEP | CR4_SMAP)
#define VMX_CR0_GUEST_OWNED ((u64)(CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM))

/* v->priv with more behind it. */
struct vmx_private {
	struct vcpu_private common;
	u64 msr[SHARED_MSRS]; /* the guest's while the CPU holds the host's */
};
static_assert(sizeof(struct vmx_private) <= PAGE_SIZE, "a page");

/* [I] immutable, [v] as in struct vcpu */
struct vmx_vcpu {
	struct vcpu vcpu;
	u64 eptp;	     /* [I] */
	u64 vpid_generation; /* [v] 0 = needs a new VPID */
	struct vmx_cpu *cpu; /* [v] where it is loaded */
	s32 last_cpu;	     /* [v] whose generation and host state that is; -1 = the VMCS is new */
	bool launched;	     /* [v] since the VMCS was cleared */
	bool flush;	     /* [v] guest control registers changed what the TLB caches */
	bool moved;	     /* [v] this CPU may have nested translations from an earlier stay */
	bool msrs_in;	     /* [v] the CPU holds the guest's shared MSRs */
	bool breakpoints;    /* [v] the guest's DR7 enables one */
	bool real;	     /* [v] real mode, which this CPU can't enter */
	bool flat;	     /* [v] no paging, and VM_FLAT_TABLE stands in for it */
	u64 flat_cr3;	     /* [v] the guest's CR3 then */
	u64 efer;	     /* [v] the guest's */
	bool offer_in;	     /* [v] lapic.offered was given to the last entry */
	u32 windows;	  /* [v] more of proc: PROC_*_WINDOW for one entry, PROC_CR3_* while flat */
	u32 event, error; /* [v] to be delivered by the next entry */
	u32 proc, threshold;  /* [v] as in the VMCS */
	u32 proc2;	      /* [v] the same */
	u64 eoi_exit[4];      /* [v] the same */
	u64 host_rsp;	      /* [v] the same */
	u64 rip, rsp, rflags; /* [v] the same */
};

static inline struct vmx_vcpu *to_vmx(struct vcpu *v)
{
	return container_of(v, struct vmx_vcpu, vcpu);
}

static inline struct vmx_private *vmx_private(struct vmx_vcpu *s)
{
	return container_of(s->vcpu.priv, struct vmx_private, common);
}

/* ---- vmx_caps.c ---- */

/* What was negotiated from the capability MSRs. [I] before the first VM */
struct vmx_caps {
	u32 pin, proc, proc2, exit, entry; /* what the controls of a vCPU start with */
	bool apicv;  /* APIC accesses, registers, x2APIC mode, interrupt delivery: all or none */
	bool posted; /* posted interrupts, which come with apicv only */
	bool vpid;   /* in proc2, and all tags can be thrown away by INVVPID */
	bool ept_ad; /* accessed and dirty flags */
	bool unrestricted; /* guests without paging and protection; else see vmx_state.c */
	u8 timer_rate;	   /* TSC bit that the preemption timer counts */
	u8 ept_leaf;	   /* highest level that may hold a page: 1..3 */
	u8 invept;	   /* enum vmx_invalidate: the narrowest INVEPT there is */
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

static inline u32 vmcs_read32(struct vmcs_32 f) { return (u32)vmx_read_known(f.id); }
static inline u64 vmcs_read64(struct vmcs_64 f) { return vmx_read_known(f.id); }
static inline void vmcs_write16(struct vmcs_16 f, u16 value) { vmx_write(f.id, value); }
static inline void vmcs_write32(struct vmcs_32 f, u32 value) { vmx_write(f.id, value); }
static inline void vmcs_write64(struct vmcs_64 f, u64 value) { vmx_write(f.id, value); }

static inline void vmx_block(u32 set, u32 clear)
{
	u32 old = vmcs_read32(VMCS_GUEST_BLOCKING), wanted = (old & ~clear) | set;

	if (wanted != old)
		vmcs_write32(VMCS_GUEST_BLOCKING, wanted);
}

/* ---- vmx_bitmap.c ---- */
void vmx_bitmap_init(void);
/* Shared by all VMs: what leaves the guest; x2apic: the CPU virtualizes that mode. */
hpa_t vmx_msr_bitmap(bool x2apic);

/* ---- vmx_exit.c ---- */
/* Decodes the exit in the VMCS, whose reason it is. */
void vmx_exit_decode(struct vmx_vcpu *s, u32 reason);
/* May an exit of this kind interrupt the delivery of an event? */
bool vmx_exit_in_delivery(u32 reason);

/* ---- vmx_inject.c ---- */
void vmx_offer_irq(struct vcpu *v, u8 vector);
void vmx_inject(struct vcpu *v, u32 event, u32 error);
bool vmx_can_inject(struct vcpu *v, u32 event);
void vmx_want_window(struct vcpu *v, u32 event);
void vmx_event_prepare(struct vmx_vcpu *s);
/* After the exit, before it is decoded; true when the offered interrupt was delivered. */
bool vmx_event_complete(struct vmx_vcpu *s, u32 reason);
/* Instead of both: what was offered becomes the event that the monitor delivers, if it can be. */
bool vmx_event_take(struct vmx_vcpu *s);

/* ---- vmx_tlb.c ---- */
/* Before an entry: the VPID and the flushes that are due. */
void vmx_tlb_prepare(struct vmx_vcpu *s);

/* ---- vmx_state.c ---- */
void vmx_get_state(struct vcpu *v, struct vcpu_state *st, u32 groups);
void vmx_set_state(struct vcpu *v, const struct vcpu_state *st, u32 groups);
void vmx_read_mode(struct vcpu *v, struct hv_mode *m);
void vmx_end_shadow(struct vcpu *v);

/* ---- vmx_ops.c ---- */
/* The shared MSRs: the host's into the CPU if the guest's are there. */
void vmx_msrs_out(struct vmx_vcpu *s);

/* ---- vmx_record.c ---- */
void vmx_record(struct vcpu *v, struct vcpu_record *r);

/* ---- vmx_enter.asm ---- */
/*
 * One world switch with the current VMCS. General registers but RSP come from and go to regs->gpr;
 * *host_rsp is what the VMCS holds. Interrupts are off before and after. False: VMLAUNCH or
 * VMRESUME failed, VM_INSTRUCTION_ERROR says why.
 */
bool vmx_switch(struct vcpu_regs *regs, u64 *host_rsp, bool launched);
void vmx_exit_point(void); /* HOST_RIP */
