#include "kernel/vcpu_run.h"

#include "hv/x86.h"
#include "lib/string.h"

/* Intel SDM 1, "Standard Format of XSAVE Area". */
struct fpu_area {
	u16 fcw, fsw;
	u8 ftw, reserved_005;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st_xmm[480];
	u64 xstate_bv, xcomp_bv;
	u64 reserved_528[6];
};
static_assert(offsetof(struct fpu_area, mxcsr) == 24, "FXSAVE area");
static_assert(sizeof(struct fpu_area) == 576, "XSAVE legacy region and header");

#define FCW_INIT 0x37f
#define MXCSR_INIT 0x1f80u

bool fpu_xcr0_valid(u64 x)
{
	return (x & XCR0_X87) && !(x & ~guest_bits.xcr0) && (!(x & XCR0_AVX) || (x & XCR0_SSE));
}

static struct fpu_area *area_of(struct vcpu *v) { return (struct fpu_area *)v->priv->fpu; }

void fpu_init_area(struct vcpu *v)
{
	memset(v->priv->fpu, 0, FPU_STATE_BYTES);
	area_of(v)->fcw = FCW_INIT;
	area_of(v)->mxcsr = MXCSR_INIT;
	v->xcr0 = XCR0_X87;
}

static void ts_set(void) { write_cr0(read_cr0() | CR0_TS); }

/*
 * All components are moved, also those that the guest's XCR0 leaves out now: it may enable them
 * again. TS is set outside of a move.
 */
static void move_begin(void)
{
	SLOW_OPS(2); /* CLTS, XGETBV */
	__asm__ volatile("clts");
	if (cpu_facts.xsave && xgetbv(0) != guest_bits.xcr0)
		xsetbv(0, guest_bits.xcr0);
}

/* FXSAVE and FXRSTOR take no mask. */
#define MOVE(insn)                                                                                 \
	__asm__ volatile(insn " (%0)"                                                              \
			 :                                                                         \
			 : "r"(v->priv->fpu), "a"(guest_bits.xcr0), "d"(0)                         \
			 : "memory")

void fpu_load(struct vcpu *v)
{
	move_begin();
	if (cpu_facts.fpu_leaks)
		__asm__ volatile("fnclex; emms; fildl %0" : : "m"(guest_bits.xcr0));
	if (cpu_facts.xsave)
		MOVE("xrstor64");
	else
		MOVE("fxrstor64");
	fpu_set_xcr0(v, v->xcr0);
	ts_set();
}

void fpu_unload(struct vcpu *v)
{
	move_begin();
	if (cpu_facts.xsave)
		MOVE("xsave64");
	else
		MOVE("fxsave64");
	ts_set();
}

void fpu_set_xcr0(struct vcpu *v, u64 xcr0)
{
	v->xcr0 = xcr0;
	if (cpu_facts.xsave && this_cpu()->vcpu == v && xgetbv(0) != xcr0)
		xsetbv(0, xcr0);
}

void fpu_get(struct vcpu *v, u8 *area)
{
	if (this_cpu()->vcpu == v) { /* the registers hold the newest state */
		fpu_unload(v);
		fpu_set_xcr0(v, v->xcr0);
	}
	memcpy(area, v->priv->fpu, FPU_STATE_BYTES);
	if (!cpu_facts.xsave)
		((struct fpu_area *)area)->xstate_bv = XCR0_X87 | XCR0_SSE;
}

void fpu_set(struct vcpu *v, const u8 *area)
{
	struct fpu_area *a = area_of(v);

	/*
	 * XRSTOR faults on reserved MXCSR bits, on components that XCR0 leaves out and on a header
	 * that is not of the standard format.
	 */
	memcpy(v->priv->fpu, area, FPU_STATE_BYTES);
	a->mxcsr &= cpu_facts.mxcsr_mask;
	a->xstate_bv &= guest_bits.xcr0 | XCR0_X87 | XCR0_SSE;
	a->xcomp_bv = 0;
	memset(a->reserved_528, 0, sizeof(a->reserved_528));
	if (this_cpu()->vcpu == v)
		fpu_load(v);
}
