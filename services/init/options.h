/* The boot options that init understands. */
#pragma once

#include "lib/types.h"

struct init_options {
	bool autostart;	   /* autostart=off: no VM starts by itself */
	bool exit_last_vm; /* exit=last-vm */
	u64 isolated;	   /* isolcpus=2-3: CPUs that no VM uses unless its definition says so */
};

/* expected: what the value should be; NULL: there is no such option. */
typedef void (*init_complain_fn)(const char *option, const char *value, const char *expected);

/*
 * Reads what the kernel has left of the command line. All that is not one of ours with a good value
 * is reported; the default stays.
 */
void init_options_parse(const char *cmdline, struct init_options *out, init_complain_fn complain);
