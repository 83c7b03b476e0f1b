/*
 * Permission bitmaps: a set bit makes the access leave the guest. AMD APM 2, "IOIO Intercept",
 * "MSR Intercepts".
 */
#include "svm/svm.h"

#include "arch/msr.h"
#include "lib/string.h"
#include "mm/kmem.h"

/* 64 Ki ports and the three that a 4-byte access at 0xffff would reach. */
static u8 iopm[3 * PAGE_SIZE] __aligned(4096);

static const struct {
	u32 first;
	u32 byte; /* of the bitmap; each MSR has a read and a write bit */
} msrpm_range[] = {
	{0x00000000, 0x0000},
	{0xc0000000, 0x0800},
	{0xc0010000, 0x1000},
};
#define MSRPM_RANGE_MSRS 0x2000u

/* Loaded and saved by VMLOAD and VMSAVE, or (PAT) by VMRUN: the guest has its own, whatever it writes. */
static const u32 passed[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT,
};

void svm_bitmap_init(void) { memset(iopm, 0xff, sizeof(iopm)); }

hpa_t svm_iopm(void) { return image_to_hpa(iopm); }

void svm_msrpm_init(u8 *msrpm)
{
	memset(msrpm, 0xff, PAGE_SIZE << SVM_MSRPM_ORDER);
	for (u32 i = 0; i < ARRAY_SIZE(passed); i++)
		svm_msrpm_pass(msrpm, passed[i], true, true);
	if (svm_caps.rdtscp) /* switched at vcpu_load and unload */
		svm_msrpm_pass(msrpm, MSR_TSC_AUX, true, true);
}

void svm_msrpm_pass(u8 *msrpm, u32 msr, bool read, bool write)
{
	for (u32 i = 0; i < ARRAY_SIZE(msrpm_range); i++) {
		u32 n = msr - msrpm_range[i].first;
		u32 shift = n % 4 * 2;
		u8 *b = &msrpm[msrpm_range[i].byte + n / 4];

		if (n >= MSRPM_RANGE_MSRS)
			continue;
		*b = (u8)((*b & ~(3u << shift)) | (read ? 0u : 1u << shift) | (write ? 0u : 2u << shift));
		return;
	}
}
