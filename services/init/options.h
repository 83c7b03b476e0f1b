/* The boot options that init understands. */
#pragma once

#include "lib/types.h"

struct init_options {
	bool autostart;	   /* autostart=off: no VM starts by itself */
	bool exit_last_vm; /* exit=last-vm */
	bool has_exitport; /* exitport=0xf4 */
	u16 exitport;
};

/*
 * Reads the kernel's command line. Options of others are passed over; the value of one of ours that
 * does not fit is reported and the default stays.
 */
void init_options_parse(const char *cmdline, struct init_options *out,
			void (*complain)(const char *option, const char *expected));
