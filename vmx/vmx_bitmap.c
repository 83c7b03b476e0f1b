/*
 * The MSR bitmap: a set bit makes the access leave the guest. One for all VMs; ports need none,
 * every one leaves the guest. Intel SDM 3, "MSR-Bitmap Address".
 */
#include "vmx/vmx.h"

#include "arch/msr.h"
#include "lib/string.h"

/*
 * Reads of MSRs from 0 on and from 0xc0000000 on, then writes of both: 1 KiB each. The second is
 * for x2APIC mode, where the CPU reads any of its MSRs from the page: those that do not exist, the
 * timer's count and ICR, whose halves stand apart there, leave the guest as before.
 */
static u8 bitmaps[2][PAGE_SIZE] __aligned(4096);
#define X2APIC_AT (0x800 / 8)
#define X2APIC(reg) BIT((reg) >> 4)
#define X2APIC_READ                                                                                \
	(X2APIC(APIC_ID) | X2APIC(APIC_VERSION) | X2APIC(APIC_TPR) | X2APIC(APIC_PPR) |            \
	 X2APIC(APIC_LDR) | X2APIC(APIC_SVR) | (X2APIC(APIC_ESR) - X2APIC(APIC_ISR)) |             \
	 X2APIC(APIC_ESR) | (X2APIC(APIC_TIMER_CURRENT) - X2APIC(APIC_LVT_TIMER)) |                \
	 X2APIC(APIC_TIMER_DIVIDE))
#define X2APIC_WRITE (X2APIC(APIC_TPR) | X2APIC(APIC_EOI) | X2APIC(APIC_SELF_IPI))
#define HIGH 0x400
#define WRITES 0x800

/* The guest's own are in the CPU while it runs. */
static const u32 passed[] = {
	MSR_FS_BASE,	 MSR_GS_BASE,	   MSR_KERNEL_GS_BASE,
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

void vmx_bitmap_init(void)
{
	u8 *bitmap = bitmaps[0];

	memset(bitmap, 0xff, PAGE_SIZE);
	for (u32 i = 0; i < ARRAY_SIZE(passed); i++) {
		u32 n = passed[i] & 0x1fff, at = (passed[i] >> 31 ? HIGH : 0) + n / 8;
		u8 mask = (u8) ~(1u << n % 8);

		bitmap[at] &= mask;
		bitmap[at + WRITES] &= mask;
	}
	memcpy(bitmaps[1], bitmap, PAGE_SIZE);
	*(u64 *)&bitmaps[1][X2APIC_AT] &= ~X2APIC_READ;
	*(u64 *)&bitmaps[1][X2APIC_AT + WRITES] &= ~X2APIC_WRITE;
}

hpa_t vmx_msr_bitmap(bool x2apic) { return image_to_hpa(bitmaps[x2apic]); }
