/*
 * The guest platform as ACPI describes it. The numbers are those of vmm/irq.h, acpi_pm.h, cpu_hotplug.h and
 * machine.c. The C preprocessor goes over it before iasl does.
 */

/*
 * ROW16 (X, 2) is X (C020, 0x20) to X (C02F, 0x2F), ROW15 begins with X (C021, 0x21). Plain numbers: in a Buffer
 * iasl makes more than one byte of an expression.
 */
#define CPU(X, row, digit) X (C0##row##digit, 0x##row##digit)
#define ROW15(X, row) \
	CPU (X, row, 1) CPU (X, row, 2) CPU (X, row, 3) CPU (X, row, 4) CPU (X, row, 5) \
	CPU (X, row, 6) CPU (X, row, 7) CPU (X, row, 8) CPU (X, row, 9) CPU (X, row, A) \
	CPU (X, row, B) CPU (X, row, C) CPU (X, row, D) CPU (X, row, E) CPU (X, row, F)
#define ROW16(X, row) CPU (X, row, 0) ROW15 (X, row)
/* Each CPU but the boot CPU, which never leaves. */
#define OTHER_CPUS(X) ROW15 (X, 0) ROW16 (X, 1) ROW16 (X, 2) ROW16 (X, 3)

/* _MAT: as in the MADT, of a CPU that is there. */
#define PROCESSOR_IDS(id) \
		Name (_HID, "ACPI0007") \
		Name (_UID, id) \
		Name (_MAT, Buffer () { 0, 8, id, id, 1, 0, 0, 0 }) \
		Method (_STA) { Return (CSTA (id)) } \
		Method (_CST) { Return (IDLE) } \
		Method (_OST, 3) { COST (id, Arg0, Arg1) }
#define PROCESSOR(name, id) \
	Device (\_SB.CPUS.name) \
	{ \
		PROCESSOR_IDS (id) \
		Method (_EJ0, 1) { CEJT (id) } \
	}
#define NOTIFY(name, id) If (Arg0 == id) { Notify (name, Arg1) }

DefinitionBlock ("dsdt.aml", "DSDT", 2, "CAISSN", "CAISSNPC", 0x00000001)
{
	/* PM1a_CNT.SLP_TYP of the soft-off state: ACPI_SLP_TYP_S5 */
	Name (\_S5, Package () { 5, 5, 0, 0 })

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_BBN, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0, 0, 0xff, 0, 0x100)
				IO (Decode16, 0xcf8, 0xcf8, 1, 8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0, 0xcf7, 0, 0xcf8)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0, 0xd00, 0xffff, 0, 0xf300)
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite,
					0, 0xc0000000, 0xfebfffff, 0, 0x3ec00000)
			})

			/* INTA..INTD of device n are I/O APIC pins 16 + (n + pin) % 8 */
			Method (_PRT)
			{
				Local0 = Package (128) {}
				Local1 = 0
				While (Local1 < 128)
				{
					Local2 = Package (4) {}
					Local2 [0] = ((Local1 >> 2) << 16) | 0xffff
					Local2 [1] = Local1 & 3
					Local2 [2] = 0
					Local2 [3] = 16 + (((Local1 >> 2) + (Local1 & 3)) & 7)
					Local0 [Local1] = Local2
					Local1++
				}
				Return (Local0)
			}

			Device (COM1)
			{
				Name (_HID, EisaId ("PNP0501"))
				Name (_UID, 1)
				Name (_STA, 0x0f)
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x3f8, 0x3f8, 0, 8)
					IRQNoFlags () { 4 }
				})
			}

			Device (RTC)
			{
				Name (_HID, EisaId ("PNP0B00"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x70, 0x70, 0, 2)
					IRQNoFlags () { 8 }
				})
			}

			Device (PIC)
			{
				Name (_HID, EisaId ("PNP0000"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x20, 0x20, 0, 2)
					IO (Decode16, 0xa0, 0xa0, 0, 2)
					IO (Decode16, 0x4d0, 0x4d0, 0, 2)
					IRQNoFlags () { 2 }
				})
			}

			Device (TIMR)
			{
				Name (_HID, EisaId ("PNP0100"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x40, 0x40, 0, 4)
					IRQNoFlags () { 0 }
				})
			}

			/* QEMU's name for fw_cfg, and what its specification says of _STA */
			Device (FWCF)
			{
				Name (_HID, "QEMU0002")
				Name (_STA, 0x0b)
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x510, 0x510, 1, 2)
				})
			}

			/* Ports that belong to no device of their own */
			Device (SYSR)
			{
				Name (_HID, EisaId ("PNP0C02"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x61, 0x61, 0, 1)
					IO (Decode16, 0x92, 0x92, 0, 1)
					IO (Decode16, 0xf4, 0xf4, 0, 4)
					IO (Decode16, 0x600, 0x600, 0, 12)
					IO (Decode16, 0x620, 0x620, 0, 16)
				})
			}

			/* The registers in CPUS below */
			Device (CPHP)
			{
				Name (_HID, EisaId ("PNP0A06"))
				Name (_UID, "CPU hot-plug")
				Name (_STA, 0x0b)
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0xcd8, 0xcd8, 1, 12)
				})
			}
		}

		Device (CPUS)
		{
			Name (_HID, "ACPI0010")
			Name (_CID, EisaId ("PNP0A05"))

			/* vmm/cpu_hotplug.h */
			OperationRegion (REGS, SystemIO, 0xcd8, 12)
			Field (REGS, ByteAcc, NoLock, WriteAsZeros)
			{
				Offset (4),
				HERE, 1, /* the selected CPU is there */
				CAME, 1, /* it has come; write 1: known */
				MUST, 1, /* it is to go; write 1: known */
				GONE, 1, /* write 1: take it */
				Offset (5),
				CMND, 8
			}
			Field (REGS, DWordAcc, NoLock, Preserve)
			{
				SLCT, 32, /* the CPU that is meant */
				Offset (8),
				DATA, 32
			}
			Mutex (MUTX, 0)

			/*
			 * HLT, as C1 (ACPI, "_CST"): latency 1 us, power 1 mW. An operating system that knows a CPU's
			 * idle states stops its tick when it expects a long idle time; Linux, where it knows none, only
			 * after one more tick.
			 */
			Name (IDLE, Package ()
			{
				1,
				Package () { ResourceTemplate () { Register (FFixedHW, 0, 0, 0) }, 1, 1, 1 }
			})

			/* _STA of CPU Arg0 */
			Method (CSTA, 1, Serialized)
			{
				Local0 = 0
				Acquire (MUTX, 0xffff)
				SLCT = Arg0
				If (HERE)
				{
					Local0 = 0x0f
				}
				Release (MUTX)
				Return (Local0)
			}

			/* _EJ0 of it */
			Method (CEJT, 1, Serialized)
			{
				Acquire (MUTX, 0xffff)
				SLCT = Arg0
				GONE = 1
				Release (MUTX)
			}

			/* _OST of it: what became (Arg2) of the request Arg1 */
			Method (COST, 3, Serialized)
			{
				Acquire (MUTX, 0xffff)
				SLCT = Arg0
				CMND = 1
				DATA = Arg1
				CMND = 2
				DATA = Arg2
				Release (MUTX)
			}

			Method (CNTF, 2, NotSerialized)
			{
				OTHER_CPUS (NOTIFY)
			}

			/* Passes on what has come and what is to go, one CPU after the other, until nothing is left. */
			Method (CSCN, 0, Serialized)
			{
				Acquire (MUTX, 0xffff)
				Local0 = 1
				While (Local0)
				{
					Local0 = 0
					CMND = 0 /* selects one with an event */
					Local1 = DATA
					If (CAME)
					{
						CNTF (Local1, 1) /* device check */
						CAME = 1
						Local0 = 1
					}
					ElseIf (MUST)
					{
						CNTF (Local1, 3) /* eject request */
						MUST = 1
						Local0 = 1
					}
				}
				Release (MUTX)
			}

			Device (C000)
			{
				PROCESSOR_IDS (0)
			}
		}
	}

	Method (\_GPE._E02)
	{
		\_SB.CPUS.CSCN ()
	}

	/* The last of all, in this order: acpi.c cuts off those that the machine can't have. */
	OTHER_CPUS (PROCESSOR)
}
