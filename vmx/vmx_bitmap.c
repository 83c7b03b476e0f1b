/*
 * The MSR bitmap: a set bit makes the access leave the guest. One for all VMs; ports need none,
 * every one leaves the guest. Intel SDM 3, "MSR-Bitmap Address".
 */
#include "vmx/vmx.h"

#include "arch/msr.h"
#include "lib/string.h"
#include "mm/kmem.h"

/* Reads of MSRs from 0 on and from 0xc0000000 on, then writes of both: 1 KiB each. */
static u8 bitmap[PAGE_SIZE] __aligned(4096);
#define HIGH 0x400
#define WRITES 0x800

/* The guest's own are in the CPU while it runs; of those written seldom the kernel keeps a copy. */
static const struct {
	u32 msr;
	bool write;
} passed[] = {
	{MSR_FS_BASE, true},	 {MSR_GS_BASE, true},	   {MSR_KERNEL_GS_BASE, true},
	{MSR_SYSENTER_CS, true}, {MSR_SYSENTER_ESP, true}, {MSR_SYSENTER_EIP, true},
	{MSR_STAR, false},	 {MSR_LSTAR, false},	   {MSR_CSTAR, false},
	{MSR_SFMASK, false},
};

void vmx_bitmap_init(void)
{
	memset(bitmap, 0xff, sizeof(bitmap));
	for (u32 i = 0; i < ARRAY_SIZE(passed); i++) {
		u32 n = passed[i].msr & 0x1fff, at = (passed[i].msr >> 31 ? HIGH : 0) + n / 8;
		u8 mask = (u8) ~(1u << n % 8);

		bitmap[at] &= mask;
		if (passed[i].write)
			bitmap[at + WRITES] &= mask;
	}
}

hpa_t vmx_msr_bitmap(void) { return image_to_hpa(bitmap); }
