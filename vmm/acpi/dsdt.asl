/* The guest platform as ACPI describes it. The numbers are those of vmm/irq.h, acpi_pm.h and machine.c. */
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
				})
			}
		}
	}
}
