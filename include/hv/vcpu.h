/*
 * The common part of VM and vCPU, first member of the vendor's own structures.
 *
 * struct vm and struct vcpu live in the kernel heap and may be touched by every CPU. Register and
 * FPU contents live in struct vcpu_private, mapped only in the owning domain's private slot: they
 * can be reached only while that domain's address space is loaded.
 *
 * Legend: [I] immutable after creation, [a] atomic, [v] owned by the thread that runs the vCPU
 * (vcpu->busy).
 */
#pragma once

#include "arch/cpu.h"
#include "hv/exit.h"
#include "hv/object.h"
#include "hv/vlapic.h"
#include "hv/walk.h"
#include "mm/aspace.h"
#include "uapi/run.h"

struct domain;
struct mem;
struct thread;

#define VM_MAX_VCPUS 64

struct vm {
	struct object obj;
	struct domain *owner; /* [I] */
	u32 id;		      /* [I] for the log */
	struct aspace space;  /* guest-physical memory, with the nested page table */
	/*
	 * Under space.lock. NULL, or: VT-x takes the guest's accesses to this page, at the local
	 * APIC's address, for ones to the APIC. What reaches it in other ways stays in the VM.
	 */
	void *apic_page;
	bool apic_page_left;		 /* [a] a vCPU has, or had, its APIC elsewhere or off */
	struct vcpu *vcpu[VM_MAX_VCPUS]; /* [a] */
	u32 lowest_next;		 /* [a] the vCPU that lowest priority looks at first */
	struct vm_policy policy;	 /* the monitor's, at any time: checked where it is used */
};

/* Guest registers as the world switch keeps them. gpr order: enum gpr. */
struct vcpu_regs {
	u64 gpr[GPRS]; /* rsp here too; the back-end copies what its control block holds */
	u64 rip, rflags;
	u64 cr2; /* VMX has no field for it */
	u64 dr[4], dr6;
};

struct vcpu_private {
	struct vcpu_regs regs;
	u8 fpu[FPU_STATE_BYTES] __aligned(64);
};
static_assert(sizeof(struct vcpu_private) <= PAGE_SIZE, "a page behind the control block");

/* What delivery knows about the guest's execution mode; filled by ops->read_mode when needed. */
struct hv_mode {
	u64 cr3, cr4, efer;
	u16 cs_attr; /* enum as in uapi/run.h */
	u8 cpl;
};

static inline bool hv_mode_64(const struct hv_mode *m) /* 64-bit code */
{
	return (m->efer & EFER_LMA) && (m->cs_attr & SEG_ATTR_L);
}

enum vcpu_kick_bits {
	KICK_USER = 1,	 /* vcpu_kick: return to the monitor */
	KICK_IRQ = 2,	 /* look at pending interrupts */
	KICK_POSTED = 4, /* the same; a CPU that takes them in the guest need not leave it */
	KICK_STOP = 8,	 /* the VM or the domain is going away */
	KICK_RESET = 16, /* INIT or SIPI arrived */
	KICK_PV = 32,	 /* it runs again: steal time */
};

struct vcpu {
	struct object obj;
	struct vm *vm;	       /* [I] */
	u32 index;	       /* [I] = APIC id */
	struct thread *runner; /* [a] thread in vcpu_run, for wake-up; NULL = none */
	u32 busy;	       /* [a] 1 while a call uses the vCPU's state */
	u32 kick;	       /* [a] enum vcpu_kick_bits; tested before each entry */
	s32 cpu;	       /* [a] CPU where it is loaded, -1 = nowhere */
	bool in_guest;	       /* [a] between the last kick test and the exit */
	struct vlapic lapic;   /* kernel/vlapic.c */
	u64 npt_seen;	       /* [v] vm->space.epoch that was flushed */
	void *block;	 /* [I] the CPU's control block, a page in the owner's private slot, */
	hpa_t block_hpa; /* [I] */
	struct vcpu_private *priv; /* [I] in the page behind it */
	struct vcpu_run *run; /* [I] the kernel's view of the run page; the monitor writes it too */
	struct hv_exit exit;  /* [v] */
	u32 activity;	      /* [v] enum vcpu_activity */
	u32 pending_reply;    /* [v] enum run_exit whose reply is awaited */
	u8 reply_size;	      /* [v] of the IN */
	bool nmi_pending;     /* [a] */
	u64 xcr0;	      /* [v] guest's */
	u64 apic_base;	      /* [v] */
	u64 tsc_offset;	      /* [v] guest TSC = host TSC + this */
	/*
	 * [v] kernel/pv.c; at: where this CPU shows the pages of steal time and EOI, in that epoch
	 */
	struct {
		u64 msr[PV_MSRS];
		void *at[2];
		u64 epoch[2];
		bool eoi_offered; /* the guest may end its interrupt by clearing the flag */
		bool unhalted;	  /* [a] KVM_HC_KICK_CPU: its HLT, or the next one, ends */
	} pv;
	s32 ext_vector; /* [v] the PIC's vector, not yet injected; -1 = none */
	u32 missing;	/* [v] enum state_group: not set yet; never none after RUN_EXIT_INTERNAL */
	bool unload;	/* [a] another CPU waits for it to be unloaded */
	struct walk_cache walk;	    /* [v] */
	struct vcpu_state *scratch; /* [v] room for a state or a record, too large for a stack */
	u64 run_va;		    /* [I] where the monitor sees the run page */
	u64 stat[STAT_ROWS + 1];    /* [v] */
	u64 cpu_ns;		    /* [a] run time of its thread, when that was charged last, */
	u32 ran_on;		    /* [a] and the CPU */
};

/*
 * Requests an exit soon (IPI when the vCPU is in guest mode elsewhere) and wakes its thread. Never
 * lost.
 */
void vcpu_kick(struct vcpu *v, u32 bits);
