/*
 * printf-style formatting without floating point.
 * Understands %c %s %d %u %x %%, flags 0 - #, width (numbers: at most 60 with flag 0), the
 * precision of %s, and the length modifiers l ll z. %s with NULL prints "(null)".
 */
#pragma once

#include <stdarg.h>

#include "lib/types.h"

/*
 * Formats into buf of size bytes, always terminated when size > 0. Returns the untruncated length.
 */
int fmt_snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);

/*
 * Reads an unsigned number: decimal, 0x hexadecimal. *end is set past the last digit.
 * False when there is no digit or the value does not fit 64 bits.
 */
bool fmt_parse_u64(const char *s, const char **end, u64 *out);

/*
 * As fmt_parse_u64, with an optional suffix K, M or G (binary, either case, optional "iB" or "B");
 * the whole string must be used.
 */
bool fmt_parse_size(const char *s, u64 *out);
