/* The KVM paravirtual ABI. Linux, Documentation/virt/kvm/x86/{cpuid,msr,hypercalls}.rst. */
#pragma once

#include "guest.h"

/* clang-format off */
enum kvm_msr {
	KVM_WALL_CLOCK = 0x4b564d00, KVM_SYSTEM_TIME, KVM_ASYNC_PF, KVM_STEAL_TIME, KVM_PV_EOI,
	KVM_POLL_CONTROL, KVM_ENABLE = 1,
};
enum kvm_feature {
	KVM_HAS_CLOCK = 1 << 3, KVM_HAS_ASYNC_PF = 1 << 4 | 1 << 10 | 1 << 14,
	KVM_HAS_STEAL_TIME = 1 << 5, KVM_HAS_PV_EOI = 1 << 6, KVM_HAS_UNHALT = 1 << 7,
	KVM_HAS_SEND_IPI = 1 << 11, KVM_HAS_YIELD = 1 << 13, KVM_CLOCK_STABLE = 1 << 24,
};
enum kvm_call {
	KVM_POLL_IRQ = 1, KVM_KICK_CPU = 5, KVM_SEND_IPI = 10, KVM_SCHED_YIELD = 11,
};
/* clang-format on */

struct kvm_clock {
	u32 version, reserved;
	u64 tsc, ns;
	u32 mul;
	signed char shift;
	u8 flags, reserved2[2];
} __attribute__((aligned(4)));

struct kvm_steal {
	u64 ns;
	u32 version, flags;
	u8 preempted, reserved[47];
} __attribute__((aligned(64)));

/* False: this is no KVM, nor does it say so. What lacks under Caisson is a failure. */
static inline bool kvm_has(u32 features)
{
	bool has = cpuid(0x40000000, 0).ebx == 0x4b4d564b &&
		   (cpuid(0x40000001, 0).eax & features) == features;

	if (under_caisson)
		expect(has, "a paravirtual feature is not offered");
	return has && under_caisson;
}

static inline bool on_amd(void) { return cpuid(0, 0).ebx == 0x68747541; }

static inline u64 hypercall(u64 number, u64 a, u64 b, u64 c, u64 d)
{
	u64 r;

	if (on_amd())
		__asm__ volatile("vmmcall"
				 : "=a"(r)
				 : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "=a"(r)
				 : "0"(number), "b"(a), "c"(b), "d"(c), "S"(d)
				 : "memory");
	return r;
}

static inline u64 kvm_clock_read(volatile struct kvm_clock *c)
{
	u32 version;
	u64 ticks, ns;

	do {
		version = c->version;
		__asm__ volatile("lfence" ::: "memory");
		ticks = rdtsc() - c->tsc;
		ticks = c->shift < 0 ? ticks >> -c->shift : ticks << c->shift;
		ns = c->ns + (u64)((unsigned __int128)ticks * c->mul >> 32);
		__asm__ volatile("lfence" ::: "memory");
	} while (version != c->version || version & 1);
	return ns;
}

/* For try_call. */
struct kvm_write {
	u32 msr;
	u64 value;
};
static inline void kvm_wrmsr(void *arg)
{
	const struct kvm_write *w = arg;

	wrmsr(w->msr, w->value);
}
