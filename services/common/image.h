/* Checks of a ring-3 program's flat image (uapi/image.h). */
#pragma once

#include "uapi/image.h"

/* Where the runtime's own areas begin: a program must lie below. */
#define IMAGE_VA_END GiB(64)

/*
 * Copies the header out of a file of n bytes and checks it: every segment page-aligned and inside
 * the file, the whole program between USER_VA_MIN and IMAGE_VA_END, the entry inside text, our uapi
 * version. On failure false and *why names the field.
 */
bool image_check(const u8 *file, size_t n, struct image_header *out, const char **why);
