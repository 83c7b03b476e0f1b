/* Reader of cpio archives in the "newc" format (magic 070701). */
#pragma once

#include "lib/types.h"

/*
 * The file `name` of an archive of n bytes. False: not there, or the archive is malformed before
 * it. Nothing beyond n is read.
 */
bool cpio_find(const u8 *archive, size_t n, const char *name, const u8 **data, size_t *size);
