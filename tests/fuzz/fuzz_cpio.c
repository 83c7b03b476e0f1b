// SOURCES: services/common/cpio.c services/common/image.c
// MAX_LEN: 12288
/* The archive of programs, and the header of a program found in it. */
#include "tests/fuzz/fuzz.h"

#include "services/common/cpio.h"
#include "services/common/image.h"

static void check_image(const u8 *file, size_t n)
{
	u8 *exact = fuzz_exact(file, n);
	struct image_header h;
	const char *why = NULL;

	if (image_check(exact, n, &h, &why)) {
		u64 bytes = h.text_size + h.rodata_size + h.data_size;

		FUZZ_CHECK(h.text_size <= n && h.rodata_size <= n && h.data_size <= n && bytes <= n,
			   "segments outside");
		FUZZ_CHECK(h.base >= USER_VA_MIN && h.base + bytes + h.bss_size <= USER_VA_MAX,
			   "base %#lx", h.base);
		FUZZ_CHECK(h.entry - h.base < h.text_size, "entry %#lx", h.entry);
	} else {
		FUZZ_CHECK(why && *why, "refused without a reason");
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	u8 *archive = fuzz_exact(data, n);
	const u8 *file = NULL;
	size_t size = 0;

	if (cpio_find(archive, n, "vmm", &file, &size)) {
		FUZZ_CHECK(file >= archive && size <= n && file + size <= archive + n,
			   "file outside the archive");
		check_image(file, size);
	}
	check_image(data, n);
	free(archive);
	return 0;
}
