#include "services/common/image.h"

#include "lib/string.h"

bool image_check(const u8 *file, size_t n, struct image_header *h, const char **why)
{
	*why = "shorter than its header";
	if (n < sizeof(*h))
		return false;
	memcpy(h, file, sizeof(*h));
	*why = "no image: magic";
	if (h->magic != IMAGE_MAGIC)
		return false;
	*why = "header_size";
	if (h->header_size != sizeof(*h))
		return false;
	*why = "uapi_version is not this system's";
	if (h->uapi_version != UAPI_VERSION)
		return false;
	*why = "a segment is not page-aligned";
	if (!IS_ALIGNED(h->base | h->text_size | h->rodata_size | h->data_size | h->bss_size,
			PAGE_SIZE))
		return false;
	*why = "a segment is outside the file";
	if (!h->text_size || h->text_size > n || h->rodata_size > n - h->text_size ||
	    h->data_size > n - h->text_size - h->rodata_size)
		return false;
	u64 bytes = h->text_size + h->rodata_size + h->data_size;
	*why = "base and sizes are outside the program range";
	if (h->base < USER_VA_MIN || h->base >= IMAGE_VA_END || h->bss_size > IMAGE_VA_END ||
	    bytes + h->bss_size > IMAGE_VA_END - h->base)
		return false;
	*why = "entry is outside text";
	return h->entry >= h->base && h->entry < h->base + h->text_size;
}
