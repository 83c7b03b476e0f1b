/* Sets of CPUs as text: "0-3,8". */
#pragma once

#include "lib/types.h"

#define CPULIST_MAX 122 /* bytes of the longest, "0-1,3-4," ... "63", with its end */

/* The text of a mask of CPUs 0 to 63, "" for none; cut when it does not fit. */
void cpulist_print(u64 cpus, char *out, size_t size);
/* The mask of such a text. False: it is none, or of no CPU. */
bool cpulist_parse(const char *text, u64 *cpus);
