#include "services/common/cpio.h"

#include "lib/string.h"

/* cpio(5), "New ASCII Format": 6 bytes of magic, then 13 fields of 8 hexadecimal digits. */
#define MAGIC "070701"
#define FIELD_FILESIZE 6
#define FIELD_NAMESIZE 11
#define HEADER_BYTES (6 + 13 * 8)
#define NAME_MAX_BYTES 4096u

static bool field(const u8 *header, u32 index, size_t *out)
{
	size_t v = 0;

	for (u32 i = 0; i < 8; i++) {
		u8 c = header[6 + index * 8 + i];
		u32 digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20) - 'a' + 10u;
		else
			return false;
		v = v << 4 | digit;
	}
	*out = v;
	return true;
}

bool cpio_find(const u8 *archive, size_t n, const char *name, const u8 **data, size_t *size)
{
	size_t want = strlen(name) + 1, at = 0;

	while (at <= n && n - at >= HEADER_BYTES) {
		const u8 *h = archive + at;
		size_t file_bytes, name_bytes, start;

		if (memcmp(h, MAGIC, 6) || !field(h, FIELD_FILESIZE, &file_bytes) ||
		    !field(h, FIELD_NAMESIZE, &name_bytes) || name_bytes < 1 ||
		    name_bytes > NAME_MAX_BYTES)
			return false;
		/* 64-bit sums of 32-bit fields: no overflow */
		start = ALIGN_UP(at + HEADER_BYTES + name_bytes, 4);
		if (start > n || file_bytes > n - start)
			return false;
		if (name_bytes == want && !memcmp(h + HEADER_BYTES, name, want)) {
			*data = archive + start;
			*size = file_bytes;
			return true;
		}
		at = ALIGN_UP(start + file_bytes, 4);
	}
	return false;
}
