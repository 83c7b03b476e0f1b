/*
 * Permission bitmaps: a set bit makes the access leave the guest. One of each kind for all VMs. AMD
 * APM 2, "IOIO Intercept", "MSR Intercepts".
 */
#include "svm/svm.h"

#include "arch/msr.h"
#include "lib/string.h"

/* 64 Ki ports and the three that a 4-byte access at 0xffff would reach. */
static u8 iopm[3 * PAGE_SIZE] __aligned(4096);
/* Two bits an MSR, read and write: MSRs from 0 on, from 0xc0000000 on, from 0xc0010000 on. */
static u8 msrpm[2 * PAGE_SIZE] __aligned(4096);
#define MSRPM_HIGH 0x800 /* byte of MSR 0xc0000000 */

/* Loaded and saved by VMLOAD and VMSAVE: the guest has its own, whatever it writes. */
static const u32 passed[] = {
	MSR_STAR,    MSR_LSTAR,		 MSR_CSTAR,	  MSR_SFMASK,	    MSR_FS_BASE,
	MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

static void pass(u32 msr)
{
	u32 n = msr & 0x1fff;

	msrpm[(msr >> 31 ? MSRPM_HIGH : 0) + n / 4] &= (u8) ~(3u << n % 4 * 2);
}

void svm_bitmap_init(void)
{
	memset(iopm, 0xff, sizeof(iopm));
	memset(msrpm, 0xff, sizeof(msrpm));
	for (u32 i = 0; i < ARRAY_SIZE(passed); i++)
		pass(passed[i]);
	if (cpu_facts.rdtscp) /* switched at vcpu_load and unload */
		pass(MSR_TSC_AUX);
}

hpa_t svm_iopm(void) { return image_to_hpa(iopm); }

hpa_t svm_msrpm(void) { return image_to_hpa(msrpm); }
