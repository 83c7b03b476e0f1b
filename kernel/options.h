/*
 * Boot options: name=value words of the command line. Unknown and malformed ones are reported,
 * never ignored.
 */
#pragma once

#include "drivers/platform/acpi.h"
#include "hv/up.h"

struct boot_options {
	char console[64]; /* "com1,115200,8n1"; empty: no serial line */
	bool vga;	  /* the log on the screen */
	enum log_level loglevel;
	u32 maxcpus; /* 0 = all */
	u64 mem;     /* bytes; 0 = all */
	char tsc[16];
	/* halt after a panic; else the machine is reset, or left through exit_port */
	bool noreboot;
	enum reset_method reboot; /* tried first */
	u16 exit_port;		  /* 0 = none */
};

/*
 * Reads the whole line into *o (defaults first). report is called with a message for each word that
 * is unknown or has a bad value; init's own options (autostart, exit) are known and checked there.
 * Pure.
 */
void options_parse(const char *line, struct boot_options *o, void (*report)(const char *message));
