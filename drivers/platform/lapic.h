/* The CPU's own local APIC (x2APIC where offered, else xAPIC), and the I/O APICs. */
#pragma once

#include "lib/types.h"

/* 0x20-0x2f: the 8259s, masked; a spurious interrupt there is counted */
enum host_vector {
	VECTOR_UART = 0x30,
	VECTOR_TIMER = 0xf0,
	VECTOR_IPI = 0xf1, /* 0xf2: hv/vlapic.h */
	VECTOR_ERROR = 0xfe,
	VECTOR_SPURIOUS = 0xff,
};

void lapic_init_boot(void); /* boot CPU: chooses the mode, maps the registers, masks the 8259s */
void lapic_init_cpu(void);  /* every CPU, the boot CPU too */
u32 lapic_id(void);
bool lapic_on_tcg(void);	  /* the machine is QEMU's TCG, with a thread for each CPU */
bool lapic_id_valid(u32 apic_id); /* can be sent to in the chosen mode, and is no broadcast */
void lapic_eoi(void);
void lapic_ipi(u32 apic_id, u8 vector);
void lapic_nmi(u32 apic_id); /* for panic */
/* INIT, then two SIPIs with the delays of the MP specification */
void lapic_init_sipi(u32 apic_id, u32 trampoline_page);
void lapic_park(u32 apic_id); /* INIT: the CPU stops and waits for a SIPI */
/*
 * tsc: deadline on this CPU's TSC, ~0 for none. The interrupt may come earlier, too: whoever takes
 * it sets the next.
 */
void lapic_timer_set(u64 tsc);
void lapic_timer_calibrate(void); /* after clock_init */

/*
 * Masks every pin but that of an ISA interrupt (with the MADT's overrides), which goes to a vector
 * on a CPU. False: no I/O APIC has it.
 */
bool ioapic_init(u32 isa_irq, u8 vector, u32 apic_id);
