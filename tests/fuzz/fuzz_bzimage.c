// SOURCES: guest-loader/loader.c guest-loader/bzimage.c guest-loader/multiboot.c lib/fmt.c
// SOURCES: lib/str_copy.c
// MAX_LEN: 8192
/*
 * A bzImage: two bytes choose the machine, then the header from setup_sects on; the magics are
 * given.
 */
#include "tests/fuzz/fuzz_loader.h"

#define HEADER 0x1f1u

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct fuzz_input in = {data, n};
	u32 choice = fuzz_u16(&in);
	size_t bytes = HEADER + in.left;
	u8 *image = calloc(1, MAX(bytes, (size_t)0x206));

	fuzz_fill(&in, image + HEADER, in.left);
	memcpy(image + 0x202, "HdrS", 4);
	if (choice & 0x8000)
		memcpy(image + 0x1fe, "\x55\xaa", 2);
	fuzz_load(image, MAX(bytes, (size_t)0x206), choice);
	free(image);
	return 0;
}
