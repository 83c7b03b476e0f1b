/* Caps of VMs as text: run time in a period. The value is that of THREAD_GROUP_CAP. */
#pragma once

#include "lib/types.h"

#define CAP_TEXT_MAX 32
#define CAP_EXPECTED                                                                               \
	"none, a percentage of one CPU such as 25% or 150%, or us of a period such as 25000/100000"

/* False: it is none; the period is 1 ms to 1 s, the run time at least 1 ms. */
bool cap_parse(const char *text, u64 *cap);
void cap_print(u64 cap, char *out, size_t size);
