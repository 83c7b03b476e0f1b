/*
 * Text symbols for backtraces; the table is made by tools/symtab.py from the first link, where it
 * is empty.
 */
#pragma once

#include "lib/types.h"

struct symbol {
	u32 offset; /* from KERNEL_BASE */
	const char *name;
};

extern const struct symbol symbol_table[];
extern const u32 symbol_count;
