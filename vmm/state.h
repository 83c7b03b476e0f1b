/*
 * Saved device state. Each model declares its fields in a table; one routine saves and loads them
 * all.
 *
 * A section is: name (length byte, characters), version u32, payload bytes u32, then the fields,
 * each: name (length byte, characters), element width u8, element count u32, elements. All
 * little-endian.
 */
#pragma once

#include "lib/types.h"
#include "vmm/device.h"

struct state_field {
	const char *name;
	u32 offset; /* in the model's structure */
	u16 width;  /* of an element: 1, 2, 4, 8 */
	u16 since;  /* section version that first had it */
	u32 count;
};

#define STATE_ELEMENT(type, member) (((type *)0)->member)
/* A bool is refused (division by zero): a load would put any byte into it. */
#define STATE_WIDTH(element) (sizeof(element) / !_Generic((element), bool : 1, default : 0))
/* clang-format off */
#define STATE_FIELD(type, member, from) \
	{.name = #member, .offset = offsetof(type, member), \
	 .width = STATE_WIDTH(STATE_ELEMENT(type, member)), .since = (from), .count = 1}
#define STATE_ARRAY(type, member, from) \
	{.name = #member, .offset = offsetof(type, member), \
	 .width = STATE_WIDTH(STATE_ELEMENT(type, member)[0]), .since = (from), \
	 .count = ARRAY_SIZE(STATE_ELEMENT(type, member))}
/* clang-format on */

/*
 * Writes d's section to buf. Returns its length, which may exceed size: then nothing useful was
 * written.
 */
size_t state_save(const struct device *d, u8 *buf, size_t size);

/*
 * Resets d and loads its section from the front of buf; unknown fields are skipped, and fields
 * younger than the saved version keep their reset value. Returns the bytes used, -E_NOENT when the
 * section is another device's, -E_INVAL when it is malformed or misses a field; d is then in its
 * reset state.
 */
s64 state_load(struct device *d, const u8 *buf, size_t size);
