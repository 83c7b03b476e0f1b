/*
 * The AMD-V back-end: its own structures and what its files share. AMD APM 2, "Secure Virtual
 * Machine".
 */
#pragma once

#include "hv/vendor.h"
#include "hw/vmcb.h"

/* Per CPU, by its id; owned by that CPU. */
struct svm_cpu {
	u64 asid_generation; /* vCPUs with an older one take a new ASID */
	u32 next_asid;	     /* > max_asid: the next one starts a generation */
	/*
	 * what VMLOAD brings back after an exit: TR, FS, GS, system-call MSRs; 0 = AMD-V is off
	 * here
	 */
	hpa_t host_hpa;
};
extern struct svm_cpu svm_cpus[MAX_CPUS];

enum svm_nmi {
	SVM_NMI_OPEN,
	SVM_NMI_BLOCKED, /* injected: IRET is intercepted */
	SVM_NMI_IRET,	 /* at the IRET that ends it: open once RIP has moved */
};

/* Whose V_IRQ it is, from an entry to its exit. */
enum svm_virq {
	SVM_VIRQ_OTHER, /* none, or a window's */
	SVM_VIRQ_OFFER, /* the offered interrupt's */
	SVM_VIRQ_EVENT, /* that of `injected` */
	SVM_VIRQ_NONE,	/* the offered interrupt is in EVENTINJ instead */
};

/* [I] immutable, [v] as in struct vcpu */
struct svm_vcpu {
	struct vcpu vcpu;
	struct vmcb *vmcb;   /* [I] vcpu.block */
	u64 asid_generation; /* [v] 0 = needs a new ASID */
	s32 last_cpu;	     /* [v] whose generation that is */
	struct svm_cpu *cpu; /* [v] where it is loaded */
	enum svm_virq virq;  /* [v] */
	bool irq_window;     /* [v] asked for */
	bool vintr;	     /* [v] the delivery of V_IRQ is intercepted */
	enum svm_nmi nmi;    /* [v] */
	u64 nmi_iret_rip;    /* [v] */
	bool step;	     /* [v] an NMI waits for the end of the next instruction */
	bool stepping;	     /* [v] TF was set for that at the last entry, not by the guest */
	u32 injected;	     /* [v] the event given to the last entry */
	u64 tsc_aux;	     /* [v] while not loaded */
	u64 cr4_own;	     /* [v] of the CPU's CR4, not the guest's: MCE, or none */
};

static inline struct svm_vcpu *to_svm(struct vcpu *v)
{
	return container_of(v, struct svm_vcpu, vcpu);
}

/* Guest control registers changed what the TLB caches: no epoch is 0. */
static inline void svm_flush(struct svm_vcpu *s) { s->vcpu.npt_seen = 0; }

/* 1..svm_max_asid() are for guests. */
static inline u32 svm_max_asid(void) { return cpu_facts.svm_asids - 1; }

/* Fields of this group were changed: the CPU must read them again. */
static inline void svm_dirty(struct svm_vcpu *s, enum vmcb_clean group)
{
	s->vmcb->clean &= ~(u32)group;
}

static inline void svm_intercept(struct svm_vcpu *s, enum vmexit code, bool on)
{
	u32 *word = &s->vmcb->intercept[code / 32], bit = 1u << code % 32;

	*word = on ? *word | bit : *word & ~bit;
	svm_dirty(s, CLEAN_I);
}

/* VMRUN refused the state: nothing went in. TCG writes the code's low half only. */
static inline bool svm_refused(u64 code) { return (u32)code >= (u32)VMEXIT_BUSY; }

/* ---- svm_caps.c ---- */
bool svm_probe(const struct cpu_facts *f, const char **why);
void svm_features(char *buf, size_t size);
int svm_cpu_enable(struct cpu *c);

/* ---- svm_bitmap.c ---- */
void svm_bitmap_init(void);
hpa_t svm_iopm(void);  /* shared by all VMs: every port leaves the guest */
hpa_t svm_msrpm(void); /* the same: all but what the world switch keeps apart */

/* ---- svm_exit.c ---- */
/* Decodes the exit in the control block. */
void svm_exit_decode(const struct vmcb *b, struct hv_exit *x);
/* Intercepts all that svm_exit_decode knows, but what is asked for in passing. */
void svm_intercepts_init(struct vmcb *b);

/* ---- svm_inject.c ---- */
void svm_inject(struct vcpu *v, u32 event, u32 error);
bool svm_can_inject(struct vcpu *v, u32 event);
void svm_want_window(struct vcpu *v, u32 event);
void svm_nmi_block(struct svm_vcpu *s, bool blocked);
void svm_event_prepare(struct svm_vcpu *s);
/* After the exit, with the registers copied out; true when the offered interrupt was delivered. */
bool svm_event_complete(struct svm_vcpu *s);

/* ---- svm_tlb.c ---- */
/*
 * Before an entry on CPU c: the ASID, and the flush that vm->space.epoch or a control register asks
 * for.
 */
void svm_tlb_prepare(struct svm_vcpu *s, struct svm_cpu *c);

/* ---- svm_state.c ---- */
void svm_get_state(struct vcpu *v, struct vcpu_state *st, u32 groups);
void svm_set_state(struct vcpu *v, const struct vcpu_state *st, u32 groups);
void svm_read_mode(struct vcpu *v, struct hv_mode *m);
void svm_end_shadow(struct vcpu *v);

/* ---- svm_record.c ---- */
void svm_record(struct vcpu *v, struct vcpu_record *r);

/* ---- svm_enter.asm ---- */
/*
 * One world switch: VMLOAD, VMRUN, VMSAVE of the guest, VMLOAD of the host area. General registers
 * but RAX and RSP come from and go to regs->gpr. Interrupts off before and after; between, GIF is
 * clear, and a pending NMI is taken at the STGI at the end.
 */
void svm_switch(struct vcpu_regs *regs, u64 vmcb_hpa, u64 host_hpa);
