#include "vmm/acpi.h"

#include "arch/apic.h"
#include "lib/string.h"
#include "vmm/acpi_pm.h"
#include "vmm/irq.h"

extern const u8 acpi_dsdt[], acpi_dsdt_end[]; /* acpi/dsdt.asl */

#define OEM_ID "CAISSN"
#define OEM_TABLE "CAISSNPC"
#define CREATOR "CSSN"

/* 5.2.5.3 Root System Description Pointer */
struct rsdp {
	char signature[8]; /* "RSD PTR " */
	u8 checksum;	   /* of the first 20 bytes */
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;
static_assert(sizeof(struct rsdp) == 36, "RSDP");

/* 5.2.6 System Description Table Header */
struct header {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __packed;
static_assert(sizeof(struct header) == 36, "table header");

/* 5.2.3.2 Generic Address Structure */
struct gas {
	u8 space, bits, bit_offset, access;
	u64 address;
} __packed;
static_assert(sizeof(struct gas) == 12, "generic address");
enum gas_space { GAS_IO = 1 };
enum gas_access { GAS_BYTE = 1, GAS_WORD = 2, GAS_DWORD = 3 };

/* 5.2.9 Fixed ACPI Description Table */
struct fadt {
	struct header h;
	u32 firmware_ctrl, dsdt;
	u8 reserved0, preferred_profile;
	u16 sci_int;
	u32 smi_cmd;
	u8 acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	u32 pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk, pm2_cnt_blk, pm_tmr_blk,
		gpe0_blk, gpe1_blk;
	u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_blk_len, gpe1_blk_len, gpe1_base,
		cst_cnt;
	u16 p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	u8 duty_offset, duty_width, day_alrm, mon_alrm, century;
	u16 iapc_boot_arch;
	u8 reserved1;
	u32 flags;
	struct gas reset_reg;
	u8 reset_value;
	u16 arm_boot_arch;
	u8 minor_version;
	u64 x_firmware_ctrl, x_dsdt;
	struct gas x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk, x_pm2_cnt_blk,
		x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk, sleep_control_reg, sleep_status_reg;
	u64 hypervisor_vendor;
} __packed;
static_assert(sizeof(struct fadt) == 276, "FADT 6.4");

enum fadt_boot_arch { BOOT_LEGACY_DEVICES = 1 << 0, BOOT_NO_VGA = 1 << 2, BOOT_NO_ASPM = 1 << 4 };
/* clang-format off */
enum fadt_flags {
	FADT_WBINVD = 1 << 0, FADT_PROC_C1 = 1 << 2, FADT_SLP_BUTTON = 1 << 5,
	FADT_RESET_REG_SUP = 1 << 10,
};
/* clang-format on */
enum { PROFILE_ENTERPRISE_SERVER = 4, CMOS_CENTURY = 0x32, RESET_PORT = 0xcf9, RESET_VALUE = 0x06 };
#define C2_UNSUPPORTED 101
#define C3_UNSUPPORTED 1001

/* 5.2.10 Firmware ACPI Control Structure */
struct facs {
	char signature[4];
	u32 length, hardware_signature, waking_vector, global_lock, flags;
	u64 x_waking_vector;
	u8 version, reserved[31];
} __packed;
static_assert(sizeof(struct facs) == 64, "FACS");

/* 5.2.12 Multiple APIC Description Table */
struct madt {
	struct header h;
	u32 local_apic, flags;
} __packed;
/* clang-format off */
enum {
	MADT_PCAT_COMPAT = 1, MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2,
	MADT_LAPIC_NMI = 4,
};
/* clang-format on */
struct madt_lapic {
	u8 type, length, processor, apic;
	u32 flags;
} __packed;
struct madt_ioapic {
	u8 type, length, id, reserved;
	u32 address, gsi_base;
} __packed;
struct madt_override {
	u8 type, length, bus, source;
	u32 gsi;
	u16 flags;
} __packed;
struct madt_lapic_nmi {
	u8 type, length, processor;
	u16 flags;
	u8 lint;
} __packed;
enum {
	LAPIC_ENABLED = 1,
	LAPIC_ONLINE_CAPABLE = 2,
	INTI_CONFORMING = 0,
	INTI_HIGH_LEVEL = 0xd,
	ALL_PROCESSORS = 0xff
};

/* Where the next table goes. acpi_build has checked that all of them fit. */
struct builder {
	u8 *base;
	u64 used;
};
#define OTHER_TABLES_MAX KiB(8) /* all but the DSDT */
#define VCPUS_MAX 255u
static_assert(VCPUS_MAX * sizeof(struct madt_lapic) + sizeof(struct fadt) < OTHER_TABLES_MAX / 2,
	      "room");

/* Room for a table: 64-byte aligned, as the FACS needs it. Its offset; the memory is zero. */
static void *table_alloc(struct builder *b, u64 bytes, u64 *gpa)
{
	u64 at = ALIGN_UP(b->used, 64);

	b->used = at + bytes;
	*gpa = ACPI_GPA + at;
	return memset(b->base + at, 0, bytes);
}

u8 acpi_checksum(const void *p, u64 bytes)
{
	u8 sum = 0;

	for (u64 i = 0; i < bytes; i++)
		sum += ((const u8 *)p)[i];
	return (u8)-sum;
}

static void finish(struct header *h, const char *signature, u8 revision, u64 length)
{
	memcpy(h->signature, signature, 4);
	h->length = (u32)length;
	h->revision = revision;
	memcpy(h->oem_id, OEM_ID, 6);
	memcpy(h->oem_table_id, OEM_TABLE, 8);
	h->oem_revision = 1;
	memcpy(h->creator_id, CREATOR, 4);
	h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = acpi_checksum(h, length);
}

static struct gas io(u32 port, u8 bits, u8 access)
{
	return (struct gas){GAS_IO, bits, 0, access, port};
}

static u64 fadt_build(struct builder *b, u64 dsdt, u64 facs)
{
	u64 gpa;
	struct fadt *f = table_alloc(b, sizeof(*f), &gpa);

	f->firmware_ctrl = (u32)facs;
	f->dsdt = (u32)dsdt;
	f->x_dsdt = dsdt; /* x_firmware_ctrl stays 0: only one of the two may be set */
	f->preferred_profile = PROFILE_ENTERPRISE_SERVER;
	f->sci_int = IRQ_SCI;
	f->pm1a_evt_blk = ACPI_PM_BASE;
	f->pm1_evt_len = 4;
	f->pm1a_cnt_blk = ACPI_PM_BASE + 4;
	f->pm1_cnt_len = 2;
	f->pm_tmr_blk = ACPI_PM_BASE + 8;
	f->pm_tmr_len = 4;
	f->gpe0_blk = ACPI_GPE_BASE;
	f->gpe0_blk_len = ACPI_GPE_BYTES;
	f->x_pm1a_evt_blk = io(ACPI_PM_BASE, 32, GAS_WORD);
	f->x_pm1a_cnt_blk = io(ACPI_PM_BASE + 4, 16, GAS_WORD);
	f->x_pm_tmr_blk = io(ACPI_PM_BASE + 8, 32, GAS_DWORD);
	f->x_gpe0_blk = io(ACPI_GPE_BASE, ACPI_GPE_BYTES * 8, GAS_BYTE);
	f->p_lvl2_lat = C2_UNSUPPORTED;
	f->p_lvl3_lat = C3_UNSUPPORTED;
	f->century = CMOS_CENTURY;
	f->iapc_boot_arch = BOOT_LEGACY_DEVICES | BOOT_NO_VGA | BOOT_NO_ASPM;
	f->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLP_BUTTON | FADT_RESET_REG_SUP;
	f->reset_reg = io(RESET_PORT, 8, GAS_BYTE);
	f->reset_value = RESET_VALUE;
	f->minor_version = 4;
	finish(&f->h, "FACP", 6, sizeof(*f));
	return gpa;
}

static u64 madt_build(struct builder *b, u32 vcpus, u32 possible)
{
	u64 gpa, bytes = sizeof(struct madt) + possible * sizeof(struct madt_lapic) +
			 sizeof(struct madt_ioapic) + 2 * sizeof(struct madt_override) +
			 sizeof(struct madt_lapic_nmi);
	struct madt *m = table_alloc(b, bytes, &gpa);
	struct madt_lapic *cpu = (void *)(m + 1);
	struct madt_ioapic *ioapic;
	struct madt_override *o;

	m->local_apic = (u32)APIC_DEFAULT_BASE;
	m->flags = MADT_PCAT_COMPAT;
	for (u32 i = 0; i < possible; i++)
		*cpu++ = (struct madt_lapic){MADT_LAPIC, sizeof(*cpu), (u8)i, (u8)i,
					     i < vcpus ? LAPIC_ENABLED : LAPIC_ONLINE_CAPABLE};
	ioapic = (void *)cpu;
	*ioapic++ = (struct madt_ioapic){MADT_IOAPIC, sizeof(*ioapic), 0, 0, (u32)IOAPIC_BASE, 0};
	o = (void *)ioapic;
	*o++ = (struct madt_override){MADT_OVERRIDE, sizeof(*o), 0, IRQ_PIT, 2, INTI_CONFORMING};
	*o++ = (struct madt_override){MADT_OVERRIDE, sizeof(*o), 0,
				      IRQ_SCI,	     IRQ_SCI,	 INTI_HIGH_LEVEL};
	*(struct madt_lapic_nmi *)o = (struct madt_lapic_nmi){
		MADT_LAPIC_NMI, sizeof(struct madt_lapic_nmi), ALL_PROCESSORS, 0, 1};
	finish(&m->h, "APIC", 5, bytes);
	return gpa;
}

static u64 xsdt_build(struct builder *b, u64 fadt, u64 madt)
{
	u64 gpa, entry[] = {fadt, madt};
	struct header *h = table_alloc(b, sizeof(*h) + sizeof(entry), &gpa);

	memcpy(h + 1, entry, sizeof(entry));
	finish(h, "XSDT", 1, sizeof(*h) + sizeof(entry));
	return gpa;
}

/* Devices of CPUs that the machine can't have stand at the end, each with this in its name. */
u64 acpi_dsdt_length(const u8 *dsdt, u64 bytes, u32 possible)
{
	/* 5b 82: device; two bytes of length; 2f 03: a name of three parts */
	enum { BEFORE_NAME = 6 };
	static const char digit[] = "0123456789ABCDEF";
	char name[] = "_SB_CPUSC0xx";
	const u32 n = sizeof(name) - 1;

	name[n - 2] = digit[possible >> 4 & 0xf];
	name[n - 1] = digit[possible & 0xf];
	for (u64 i = sizeof(struct header) + BEFORE_NAME; i + n <= bytes; i++)
		if (!memcmp(dsdt + i, name, n))
			return i - BEFORE_NAME;
	return bytes;
}

static u64 dsdt_build(struct builder *b, u32 possible)
{
	u64 gpa, bytes = acpi_dsdt_length(acpi_dsdt, (u64)(acpi_dsdt_end - acpi_dsdt), possible);
	struct header *h = table_alloc(b, bytes, &gpa);

	memcpy(h, acpi_dsdt, bytes);
	h->length = (u32)bytes;
	h->checksum = 0;
	h->checksum = acpi_checksum(h, bytes);
	return gpa;
}

int acpi_build(const struct ram *ram, u32 vcpus, u32 possible)
{
	struct builder b = {.base = ram_ptr(ram, ACPI_GPA, ACPI_BYTES)};
	u64 gpa, facs;
	struct facs *f;
	struct rsdp *r;

	if (!b.base || possible > VCPUS_MAX ||
	    (u64)(acpi_dsdt_end - acpi_dsdt) > ACPI_BYTES - OTHER_TABLES_MAX)
		return -E_NOMEM;
	r = table_alloc(&b, sizeof(*r), &gpa);
	f = table_alloc(&b, sizeof(*f), &facs);
	memcpy(f->signature, "FACS", 4);
	f->length = sizeof(*f);
	f->version = 2;
	memcpy(r->signature, "RSD PTR ", 8);
	memcpy(r->oem_id, OEM_ID, 6);
	r->revision = 2;
	r->length = sizeof(*r);
	r->xsdt = xsdt_build(&b, fadt_build(&b, dsdt_build(&b, possible), facs),
			     madt_build(&b, vcpus, possible));
	r->checksum = acpi_checksum(r, offsetof(struct rsdp, length));
	r->extended_checksum = acpi_checksum(r, sizeof(*r));
	return 0;
}
