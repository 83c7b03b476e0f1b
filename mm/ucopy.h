/* Copies between kernel and the current domain's memory; faults are resolved or end in -E_FAULT. */
#pragma once

#include "lib/types.h"

int ucopy_in(void *dst, u64 user_src, size_t n) __must_check;
int ucopy_out(u64 user_dst, const void *src, size_t n) __must_check;
