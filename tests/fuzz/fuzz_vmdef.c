// SOURCES: services/common/vmdef.c services/common/cap.c services/common/cpulist.c
// SOURCES: lib/fmt.c lib/str_copy.c
// MAX_LEN: 4096
/*
 * A VM definition: whatever is accepted lies within the documented ranges, whatever is refused says
 * why.
 */
#include "tests/fuzz/fuzz.h"

#include "services/common/vmdef.h"

static void check_name(const struct vm_def *d)
{
	size_t n = strnlen(d->name, sizeof(d->name));

	FUZZ_CHECK(n >= 1 && n < sizeof(d->name), "name of %zu characters", n);
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(d->name[i] > ' ' && d->name[i] < 0x7f && d->name[i] != '/', "byte %#x",
			   (u8)d->name[i]);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	/* errors are cut off, never written beyond their buffer */
	size_t room = n ? 1 + data[0] : 256;
	char *text = fuzz_exact(data, n), *error = malloc(room);
	struct vmdef_lines lines;
	struct vm_def d;

	error[0] = 0;
	if (vmdef_parse("fuzz.vm", text, n, &d, &lines, error, room)) {
		check_name(&d);
		FUZZ_CHECK(d.memory && IS_ALIGNED(d.memory, PAGE_2M) && d.memory <= GiB(1024),
			   "memory %#lx", d.memory);
		FUZZ_CHECK(d.vcpus >= 1 && d.vcpus <= d.vcpus_max && d.vcpus_max <= 64,
			   "vcpus %u of %u", d.vcpus, d.vcpus_max);
		for (u32 i = 0; i < VM_ENDS; i++)
			FUZZ_CHECK(d.at_end[i].act <= ON_EXIT_PRESERVE &&
					   (!d.at_end[i].restart_max ||
					    d.at_end[i].act == ON_EXIT_RESTART),
				   "end %u", i);
		FUZZ_CHECK(d.kernel[0] && strnlen(d.kernel, sizeof(d.kernel)) < sizeof(d.kernel),
			   "kernel");
		FUZZ_CHECK(strnlen(d.initrd, sizeof(d.initrd)) < sizeof(d.initrd), "initrd");
		FUZZ_CHECK(strnlen(d.cmdline, sizeof(d.cmdline)) < sizeof(d.cmdline), "cmdline");
	} else {
		FUZZ_CHECK(strnlen(error, room) < room, "error without end");
		FUZZ_CHECK(room < 8 || !strncmp(error, "fuzz.vm", 7), "error '%s'", error);
	}
	free(text);
	free(error);
	return 0;
}
