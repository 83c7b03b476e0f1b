/* Boot options of the kernel: name=value words of the command line. */
#pragma once

#include "drivers/platform/uart.h"
#include "hv/facts.h"
#include "uapi/abi.h"

enum spec_option { SPEC_AUTO, SPEC_OFF, SPEC_ON };
/* enum spec_defence (kernel/spec.c): auto: what the CPU needs; on: all that it has. Pure. */
u32 spec_choose(const struct cpu_facts *f, enum spec_option option);

struct boot_options {
	struct uart_config uart;
	bool serial, vga;   /* where the log goes */
	u64 loglevel;	    /* enum log_level */
	u64 maxcpus;	    /* 0 = all */
	u64 mem;	    /* bytes; 0 = all */
	u64 tsc;	    /* enum tsc_option */
	u64 noreboot;	    /* 1: halt after a panic; else a reset, or out through exit_port */
	u64 noapicv;	    /* 1: without the CPU's virtualization of local APICs */
	u64 nounrestricted; /* 1: without the CPU's "unrestricted guest" */
	u64 reboot;	    /* enum reset_method, tried first */
	u64 spec;	    /* enum spec_option */
	u64 coresched;	    /* 1: SMT siblings run threads of one group at a time */
	u64 exit_port;	    /* 0 = none */
};

/*
 * Reads the line into *o, defaults first, and takes the words that it understands out of it. What
 * is left is for init, which reports what it doesn't know either. Pure.
 */
void options_parse(char *line, struct boot_options *o);
