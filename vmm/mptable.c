#include "vmm/mptable.h"

#include "arch/apic.h"
#include "lib/string.h"
#include "uapi/abi.h"
#include "vmm/acpi.h"
#include "vmm/irq.h"

/* 4.1 MP Floating Pointer Structure */
struct mp_pointer {
	char signature[4]; /* "_MP_" */
	u32 table;
	u8 length, revision, checksum; /* length in units of 16 bytes */
	u8 features[5];
} __packed;
static_assert(sizeof(struct mp_pointer) == 16, "floating pointer");

/* 4.2 MP Configuration Table Header */
struct mp_header {
	char signature[4]; /* "PCMP" */
	u16 length;
	u8 revision, checksum;
	char oem_id[8], product_id[12];
	u32 oem_table;
	u16 oem_table_size, entries;
	u32 local_apic;
	u16 extended_length;
	u8 extended_checksum, reserved;
} __packed;
static_assert(sizeof(struct mp_header) == 44, "table header");

/* 4.3 Base MP Configuration Table Entries */
enum mp_entry { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };
struct mp_processor {
	u8 type, apic, version, flags;
	u32 signature, features, reserved[2];
} __packed;
static_assert(sizeof(struct mp_processor) == 20, "processor entry");
struct mp_bus {
	u8 type, id;
	char name[6];
} __packed;
struct mp_ioapic {
	u8 type, id, version, flags;
	u32 address;
} __packed;
struct mp_interrupt {
	u8 type, kind;
	u16 flags;
	u8 bus, source, apic, input;
} __packed;
static_assert(sizeof(struct mp_bus) == 8 && sizeof(struct mp_ioapic) == 8 &&
		      sizeof(struct mp_interrupt) == 8,
	      "the other entries");
/* clang-format off */
enum {
	MP_REVISION = 4, CPU_ENABLED = 1, CPU_BOOT = 2, APIC_INTEGRATED = 0x14, IOAPIC_ENABLED = 1,
	KIND_INT = 0, KIND_NMI = 1, KIND_EXTINT = 3, CONFORMING = 0, HIGH_LEVEL = 0xd,
	BUS_PCI = 0, BUS_ISA = 1, ALL_APICS = 0xff, ISA_CASCADE = 2, ISA_IRQS = 16,
};
/* clang-format on */
#define CPUS_MAX 254u
static_assert(MPTABLE_BYTES > sizeof(struct mp_pointer) + sizeof(struct mp_header) +
				      CPUS_MAX * sizeof(struct mp_processor) +
				      (ISA_IRQS + 5) * sizeof(struct mp_interrupt),
	      "room");

/* The next entry of the table. mptable_build has checked that all of them fit. */
static void *add(struct mp_header *h, u32 bytes)
{
	void *p = (u8 *)h + h->length;

	h->length = (u16)(h->length + bytes);
	h->entries++;
	return memset(p, 0, bytes);
}

static void add_cpus(struct mp_header *h, u32 vcpus, u32 signature, u32 features)
{
	for (u32 i = 0; i < vcpus; i++) {
		struct mp_processor *cpu = add(h, sizeof(*cpu));

		cpu->type = MP_PROCESSOR;
		cpu->apic = (u8)i;
		cpu->version = APIC_INTEGRATED;
		cpu->flags = i ? CPU_ENABLED : CPU_ENABLED | CPU_BOOT;
		cpu->signature = signature;
		cpu->features = features;
	}
}

static void add_bus(struct mp_header *h, u8 id, const char *name)
{
	struct mp_bus *bus = add(h, sizeof(*bus));

	bus->type = MP_BUS;
	bus->id = id;
	memcpy(bus->name, name, sizeof(bus->name));
}

static void add_interrupts(struct mp_header *h)
{
	static const struct mp_interrupt local[] = {
		{MP_LOCAL_INTERRUPT, KIND_EXTINT, CONFORMING, BUS_ISA, 0, ALL_APICS, 0},
		{MP_LOCAL_INTERRUPT, KIND_NMI, CONFORMING, BUS_ISA, 0, ALL_APICS, 1},
	};

	for (u8 irq = 0; irq < ISA_IRQS; irq++) {
		struct mp_interrupt *i;

		if (irq == ISA_CASCADE)
			continue;
		i = add(h, sizeof(*i));
		*i = (struct mp_interrupt){.type = MP_IO_INTERRUPT,
					   .kind = KIND_INT,
					   .flags = irq == IRQ_SCI ? HIGH_LEVEL : CONFORMING,
					   .bus = BUS_ISA,
					   .source = irq,
					   .input = (u8)irq_pin(irq)};
	}
	memcpy(add(h, sizeof(local[0])), &local[0], sizeof(local[0]));
	memcpy(add(h, sizeof(local[1])), &local[1], sizeof(local[1]));
}

int mptable_build(const struct ram *ram, u32 vcpus, u32 signature, u32 features)
{
	struct mp_pointer *p = ram_ptr(ram, MPTABLE_GPA, MPTABLE_BYTES);
	struct mp_header *h;
	struct mp_ioapic *ioapic;

	if (!p || vcpus > CPUS_MAX)
		return -E_NOMEM;
	h = (struct mp_header *)(p + 1);
	*h = (struct mp_header){.signature = "PCMP",
				.length = sizeof(*h),
				.revision = MP_REVISION,
				.oem_id = "CAISSON ",
				.product_id = "PC          ",
				.local_apic = (u32)APIC_DEFAULT_BASE};
	add_cpus(h, vcpus, signature, features);
	add_bus(h, BUS_PCI, "PCI   ");
	add_bus(h, BUS_ISA, "ISA   ");
	ioapic = add(h, sizeof(*ioapic));
	*ioapic =
		(struct mp_ioapic){MP_IOAPIC, 0, IOAPIC_VERSION, IOAPIC_ENABLED, (u32)IOAPIC_BASE};
	add_interrupts(h);
	h->checksum = acpi_checksum(h, h->length);
	*p = (struct mp_pointer){.signature = "_MP_",
				 .table = (u32)(MPTABLE_GPA + sizeof(*p)),
				 .length = 1,
				 .revision = MP_REVISION};
	p->checksum = acpi_checksum(p, sizeof(*p));
	return 0;
}
