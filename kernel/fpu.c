#include "kernel/fpu.h"

#include "arch/cpu.h"
#include "hv/cpu.h"
#include "hv/x86.h"
#include "lib/string.h"

enum xcr0_component { /* Intel SDM 1, "XSAVE-Supported Features and State-Component Bitmaps" */
	XCR0_X87 = 1u << 0,
	XCR0_SSE = 1u << 1,
	XCR0_AVX = 1u << 2,
	XCR0_AVX512 = 7u << 5,
	XCR0_PKRU = 1u << 9,
};

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
static_assert(sizeof(((struct vcpu_state *)0)->fpu) == FPU_STATE_BYTES, "FPU group");

#define FCW_INIT 0x37f
#define MXCSR_INIT 0x1f80u
#define MXCSR_MASK_DEFAULT 0xffbfu /* when FXSAVE stores 0 */

u64 fpu_xcr0_allowed(const struct cpu_facts *f)
{
	u64 x = f->xcr0_supported & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU);

	if ((x & XCR0_AVX512) != XCR0_AVX512 || !(x & XCR0_AVX))
		x &= ~(u64)XCR0_AVX512;
	return f->xsave ? x | XCR0_X87 : XCR0_X87;
}

bool fpu_xcr0_valid(u64 x)
{
	if (!(x & XCR0_X87) || (x & ~fpu_xcr0_allowed(&cpu_facts)))
		return false;
	if ((x & XCR0_AVX) && !(x & XCR0_SSE))
		return false;
	return !(x & XCR0_AVX512) || ((x & XCR0_AVX512) == XCR0_AVX512 && (x & XCR0_AVX));
}

u32 fpu_area_bytes(void)
{
	u32 n = cpu_facts.xsave ? cpu_facts.xsave_size : 0;

	/* Components that no guest gets (AMX) lie behind all others in the standard format. */
	return MIN(MAX(n, (u32)sizeof(struct fpu_area)), FPU_STATE_BYTES);
}

static struct fpu_area *area_of(struct vcpu *v) { return (struct fpu_area *)v->priv->fpu; }

void fpu_init_area(struct vcpu *v)
{
	memset(v->priv->fpu, 0, fpu_area_bytes());
	area_of(v)->fcw = FCW_INIT;
	area_of(v)->mxcsr = MXCSR_INIT;
	v->xcr0 = XCR0_X87;
}

static void ts_clear(void)
{
	SLOW_OP();
	__asm__ volatile("clts");
}

static void ts_set(void) { write_cr0(read_cr0() | CR0_TS); }

/* All components are moved, also those that the guest's XCR0 leaves out now: it may enable them again. */
static void area_save(struct vcpu *v)
{
	u64 all = fpu_xcr0_allowed(&cpu_facts);

	SLOW_OP();
	if (!cpu_facts.xsave) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(v->priv->fpu) : "memory");
		return;
	}
	if (xgetbv(0) != all)
		xsetbv(0, all);
	__asm__ volatile("xsave64 (%0)"
			 : : "r"(v->priv->fpu), "a"((u32)all), "d"((u32)(all >> 32)) : "memory");
}

static void area_restore(struct vcpu *v)
{
	u64 all = fpu_xcr0_allowed(&cpu_facts);

	SLOW_OP();
	if (!cpu_facts.xsave) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(v->priv->fpu) : "memory");
		return;
	}
	if (xgetbv(0) != all)
		xsetbv(0, all);
	__asm__ volatile("xrstor64 (%0)"
			 : : "r"(v->priv->fpu), "a"((u32)all), "d"((u32)(all >> 32)) : "memory");
	if (v->xcr0 != all)
		xsetbv(0, v->xcr0);
}

void fpu_load(struct vcpu *v)
{
	ts_clear();
	area_restore(v);
	ts_set();
}

void fpu_unload(struct vcpu *v)
{
	ts_clear();
	area_save(v);
	ts_set();
}

void fpu_set_xcr0(struct vcpu *v, u64 xcr0)
{
	v->xcr0 = xcr0;
	if (cpu_facts.xsave && this_cpu()->vcpu == v)
		xsetbv(0, xcr0);
}

void fpu_get(struct vcpu *v, u8 *area)
{
	if (this_cpu()->vcpu == v) { /* the registers hold the newest state */
		fpu_unload(v);
		if (cpu_facts.xsave && v->xcr0 != fpu_xcr0_allowed(&cpu_facts))
			xsetbv(0, v->xcr0);
	}
	memset(area, 0, FPU_STATE_BYTES);
	memcpy(area, v->priv->fpu, fpu_area_bytes());
	if (!cpu_facts.xsave)
		((struct fpu_area *)area)->xstate_bv = XCR0_X87 | XCR0_SSE;
}

int fpu_set(struct vcpu *v, const u8 *area)
{
	const struct fpu_area *in = (const struct fpu_area *)area;
	struct fpu_area *a = area_of(v);
	u64 bv = in->xstate_bv; /* read once */
	u64 allowed = cpu_facts.xsave ? fpu_xcr0_allowed(&cpu_facts) : XCR0_X87 | XCR0_SSE;
	u32 mask = cpu_facts.mxcsr_mask ? cpu_facts.mxcsr_mask : MXCSR_MASK_DEFAULT;

	if (bv & ~allowed)
		return -E_INVAL;
	/* XRSTOR faults on reserved MXCSR bits and on a header that is not of the standard format. */
	memcpy(v->priv->fpu, area, fpu_area_bytes());
	a->mxcsr &= mask;
	a->xstate_bv = bv;
	a->xcomp_bv = 0;
	memset(a->reserved_528, 0, sizeof(a->reserved_528));
	if (this_cpu()->vcpu == v)
		fpu_load(v);
	return 0;
}
