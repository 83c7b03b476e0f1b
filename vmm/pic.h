/*
 * The two 8259A interrupt controllers of a PC and their edge/level registers. Intel 8259A data
 * sheet.
 */
#pragma once

#include "vmm/device.h"

/* offsets in the register space */
enum pic_port {
	PIC_MASTER = 0, /* ports 0x20, 0x21 */
	PIC_SLAVE = 2,	/* ports 0xa0, 0xa1 */
	PIC_ELCR = 4,	/* ports 0x4d0, 0x4d1 */
};

struct pic_chip {
	u8 irr, imr, isr; /* requested, masked, in service */
	u8 level;	  /* of the input pins */
	u8 elcr;	  /* 1 = level-triggered */
	u8 base;	  /* ICW2: first vector */
	u8 priority;	  /* pin of the highest priority */
	u8 init_state;	  /* 0 = ready, else the ICW expected next: 2, 3, 4 */
	u8 need_icw4, auto_eoi, rotate_auto_eoi, special_mask, special_nested, read_isr, poll;
};

struct pic {
	struct device dev;
	struct pic_chip chip[2]; /* master, slave on pin 2 */
	u8 intr;		 /* output of the master */
};

void pic_init(struct pic *p, struct platform *plat);

/* Input pin 0..15. The caller holds the device's lock. A rising output sends an ExtINT message. */
void pic_set(struct pic *p, u32 irq, bool up);

/*
 * The processor's acknowledge: the vector to deliver, or -1 when nothing asks any more. Lock held.
 */
s32 pic_ack(struct pic *p);
