/*
 * VM definitions: text of `key = value` lines into struct vm_def. docs/console.md describes the
 * keys.
 */
#pragma once

#include "services/proto.h"

#define VMDEF_TEXT_MAX KiB(64)
#define VMDEF_MEMORY_MIN MiB(2)
#define VMDEF_MEMORY_MAX GiB(512) /* of a memory object */

/*
 * Lines of the keys whose values can only be checked against the machine; 0 = the key was not
 * given.
 */
struct vmdef_lines {
	u32 name, memory, kernel, initrd, cpus, maxvcpus;
};

/*
 * Parses n bytes of text; file names it in errors. On failure false, and error holds one line
 * "FILE:LINE: what was wrong: what was expected". *out and *lines are complete only on success, but
 * out->name is valid (maybe empty) always.
 */
bool vmdef_parse(const char *file, const char *text, size_t n, struct vm_def *out,
		 struct vmdef_lines *lines, char *error, size_t error_size);
