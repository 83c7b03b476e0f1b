/* COM1's other end: the rings in the memory shared with init and manager (services/proto.h). */
#pragma once

#include "vmm/uart.h"

struct console {
	struct uart_peer peer;
	/* [I] others write to it: every field is read once, then checked */
	struct vm_shared *shared;
	handle_t notify;       /* [I] */
	u64 out_head, in_tail; /* ours; the shared copies are for the others */
};

void console_init(struct console *c, struct vm_shared *shared, handle_t notify);

/* Appends a line to the shared log; the oldest lines make room. */
void console_log(struct vm_shared *shared, const char *line);
