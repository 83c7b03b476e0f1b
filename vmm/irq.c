#include "vmm/irq.h"

void irq_init(struct irq *q, struct platform *plat)
{
	pic_init(&q->pic, plat);
	ioapic_init(&q->ioapic, plat);
}

void irq_set(struct irq *q, u32 line, bool up)
{
	if (line >= IRQ_LINES || line == 2) /* 2 is the PICs' cascade, not a line */
		return;
	if (line < 16) {
		rt_lock(&q->pic.dev.lock);
		pic_set(&q->pic, line, up);
		rt_unlock(&q->pic.dev.lock);
	}
	rt_lock(&q->ioapic.dev.lock);
	ioapic_set(&q->ioapic, irq_pin(line), up);
	rt_unlock(&q->ioapic.dev.lock);
}

s32 irq_ack(struct irq *q)
{
	s32 vector;

	rt_lock(&q->pic.dev.lock);
	vector = pic_ack(&q->pic);
	rt_unlock(&q->pic.dev.lock);
	return vector;
}

void irq_eoi(struct irq *q, u8 vector)
{
	rt_lock(&q->ioapic.dev.lock);
	ioapic_eoi(&q->ioapic, vector);
	rt_unlock(&q->ioapic.dev.lock);
}
