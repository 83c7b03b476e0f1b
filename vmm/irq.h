/* Interrupt lines of the platform: each goes to the PIC (0..15) and to an I/O APIC pin. */
#pragma once

#include "vmm/ioapic.h"
#include "vmm/pic.h"

enum irq_line {
	IRQ_PIT = 0,
	IRQ_COM1 = 4,
	IRQ_RTC = 8,
	IRQ_SCI = 9,
	IRQ_LINES = IOAPIC_PINS,
};

/* The I/O APIC pin of a line: the timer is on pin 2, as the MADT's override says. */
static inline u32 irq_pin(u32 line) { return line == IRQ_PIT ? 2 : line; }

struct irq {
	struct pic pic;
	struct ioapic ioapic;
};

void irq_init(struct irq *q, struct platform *plat);

/* Takes the controllers' locks one after the other, so a caller may hold its device's. */
void irq_set(struct irq *q, u32 line, bool up);

s32 irq_ack(struct irq *q);		/* RUN_EXIT_EXTINT: a vector, or -1 */
void irq_eoi(struct irq *q, u8 vector); /* RUN_EXIT_EOI */
