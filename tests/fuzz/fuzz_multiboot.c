// SOURCES: guest-loader/loader.c guest-loader/bzimage.c guest-loader/multiboot.c lib/fmt.c
// SOURCES: lib/str_copy.c
// MAX_LEN: 8192
/*
 * A multiboot-1 kernel: two bytes choose the machine, two where a header with a good checksum is
 * put, then the image.
 */
#include "tests/fuzz/fuzz_loader.h"

#define MAGIC 0x1badb002u

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	struct fuzz_input in = {data, n};
	u32 choice = fuzz_u16(&in), at = fuzz_u16(&in) & ~3u, flags;
	size_t bytes = in.left;
	u8 *image = fuzz_exact(in.at, bytes);

	if (at + 12 <= bytes) {
		memcpy(&flags, image + at + 4, 4);
		memcpy(image + at, &(u32){MAGIC}, 4);
		memcpy(image + at + 8, &(u32){-(MAGIC + flags)}, 4);
	}
	fuzz_load(image, bytes, choice);
	free(image);
	return 0;
}
