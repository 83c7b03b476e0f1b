/*
 * The local APIC of a vCPU: registers, priorities, routing of interrupt messages, timer. Intel SDM
 * 3, "Advanced Programmable Interrupt Controller". Interrupts off; "own": by the vCPU's runner, or
 * while the vCPU is marked busy.
 */
#pragma once

#include "hv/vcpu.h"

/* Version: 6 LVT entries, integrated APIC, suppression of EOI broadcasts. */
#define VLAPIC_VERSION 0x1050014u
/* A periodic timer that is faster would only keep the host busy. */
#define VLAPIC_TIMER_FLOOR_NS 200000ull

static inline u32 *vlapic_reg(struct vcpu *v, enum apic_reg offset)
{
	return &v->lapic.page[offset / 4];
}

static inline void vlapic_set_bit(struct vlapic *l, enum apic_reg map, u8 n, bool on)
{
	u32 bit = 1u << n % 32, *word = vlapic_word(l, map, n);

	*word = on ? *word | bit : *word & ~bit;
}

/* x2APIC MSR (0x800..0x8ff): false = #GP. own. A level-triggered EOI is left in lapic.eoi_exit. */
bool vlapic_msr_read(struct vcpu *v, u32 msr, u64 *value);
bool vlapic_msr_write(struct vcpu *v, u32 msr, u64 value);
/*
 * 32-bit access to the xAPIC page at an offset; reserved registers read 0 and raise the ESR bit.
 * own.
 */
u32 vlapic_mmio_read(struct vcpu *v, u32 offset);
void vlapic_mmio_write(struct vcpu *v, u32 offset, u32 value);
/* The CPU has put what the guest wrote into the page as it is: the rest of the write. own. */
void vlapic_written(struct vcpu *v, u32 offset);

/*
 * A level-triggered interrupt has ended: lapic.eoi_exit, unless the guest tells the I/O APIC. own.
 */
void vlapic_eoi_broadcast(struct vcpu *v, u8 vector);

/* Moves posted interrupts to IRR. own. */
void vlapic_sync(struct vcpu *v);
/*
 * Highest vector that no interrupt in service blocks; TPR is left to the CPU, and with by_cpu ISR
 * too. 0 = none. own.
 */
u8 vlapic_pending(struct vcpu *v);
/* The same above PPR with TPR: would an unmasked CPU take it now? own. */
bool vlapic_deliverable(struct vcpu *v);
/*
 * The CPU has taken the vector that was offered: IRR -> ISR. Nothing else that waits may follow.
 * own.
 */
void vlapic_taken(struct vcpu *v, u8 vector);
/* The processor priority. For another's vCPU as its registers were seen last. */
u32 vlapic_ppr(const struct vcpu *v);
/* The highest in service has ended. own. A level-triggered one is left in lapic.eoi_exit. */
void vlapic_eoi(struct vcpu *v);
/* An ExtINT is posted and the APIC lets it through. */
bool vlapic_extint_pending(const struct vcpu *v);

/* Posts a fixed interrupt from anywhere and kicks. */
void vlapic_post(struct vcpu *v, u8 vector, bool level);
void vlapic_nmi(struct vcpu *v);

/* An interrupt message: ICR write, MSI or I/O APIC. */
struct vlapic_msg {
	u32 dest;
	u8 vector;
	u8 mode; /* enum apic_delivery */
	bool logical, level, assert;
	bool broadcast;	     /* dest names everyone */
	struct vcpu *source; /* of an IPI: posted directly to itself; NULL = a device */
	enum vlapic_shorthand {
		VLAPIC_NO_SHORTHAND,
		VLAPIC_SELF,
		VLAPIC_ALL,
		VLAPIC_OTHERS
	} shorthand;
};
void vlapic_send(struct vm *vm, const struct vlapic_msg *m);
/* MSI address and data, as devices and I/O APICs write them. Any CPU. */
void vlapic_msi(struct vm *vm, u64 address, u32 data);
/* Sends what these halves of ICR say. own. */
void vlapic_ipi(struct vcpu *v, u32 low, u32 high);
/* The entry of the timer or the error fires; they are always fixed. Any CPU. */
void vlapic_lvt_deliver(struct vcpu *v, enum apic_reg lvt);
/* Sets bits of the error status; the first ones deliver the error interrupt. Any CPU. */
void vlapic_error(struct vcpu *v, u32 bits);

/* Timer. own. */
void vlapic_timer_stop(struct vcpu *v);
/* It is armed on another CPU, and runs on this one from now on. */
void vlapic_timer_follow(struct vcpu *v);
void vlapic_timer_write_init(struct vcpu *v, u32 count);
void vlapic_timer_write_divide(struct vcpu *v, u32 divide);
u32 vlapic_timer_current(const struct vcpu *v);
/* LVT timer was written: what runs in another mode than it says is disarmed. */
void vlapic_timer_mode(struct vcpu *v);
/* IA32_TSC_DEADLINE; also the same value again, when the guest's TSC has changed. */
void vlapic_timer_write_deadline(struct vcpu *v, u64 tsc);
/* State group CLOCK, once the registers and the TSC's offset are right. */
void vlapic_timer_set(struct vcpu *v, u64 apic_deadline, u64 tsc_deadline);

/* State group APIC. set takes any; a timer counts anew. own. */
void vlapic_get_state(struct vcpu *v, struct vcpu_state *s);
void vlapic_set_state(struct vcpu *v, const struct vcpu_state *s);

enum vlapic_esr {
	ESR_SEND_ILLEGAL = 1u << 5,
	ESR_RECEIVE_ILLEGAL = 1u << 6,
	ESR_ILLEGAL_REGISTER = 1u << 7,
};

static inline bool vlapic_enabled(const struct vcpu *v) { return v->apic_base & (1ull << 11); }
static inline bool vlapic_x2apic(const struct vcpu *v) { return v->apic_base & (1ull << 10); }
static inline bool vlapic_software_enabled(const struct vcpu *v)
{
	return vlapic_enabled(v) && (v->lapic.page[APIC_SVR / 4] & APIC_SVR_ENABLE);
}
