#include "vmm/state.h"

#include "lib/string.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "elements are copied as they are");

struct writer {
	u8 *buf;
	size_t size, pos;
};

static void put(struct writer *w, const void *data, size_t n)
{
	if (w->pos + n <= w->size)
		memcpy(w->buf + w->pos, data, n);
	w->pos += n;
}

static void put_name(struct writer *w, const char *name)
{
	u8 n = (u8)strlen(name);

	put(w, &n, 1);
	put(w, name, n);
}

size_t state_save(const struct device *d, u8 *buf, size_t size)
{
	struct writer w = {buf, size, 0};
	u32 payload = 0;
	size_t at;

	put_name(&w, d->ops->name);
	put(&w, &d->ops->version, 4);
	at = w.pos;
	put(&w, &payload, 4);
	for (u32 i = 0; i < d->ops->field_count; i++) {
		const struct state_field *f = &d->ops->fields[i];
		u8 width = (u8)f->width;

		put_name(&w, f->name);
		put(&w, &width, 1);
		put(&w, &f->count, 4);
		put(&w, (const u8 *)d + f->offset, (size_t)f->width * f->count);
	}
	payload = (u32)(w.pos - at - 4);
	if (w.pos <= size)
		memcpy(buf + at, &payload, 4);
	return w.pos;
}

struct reader {
	const u8 *buf;
	size_t left;
};

/* The next n bytes, or NULL when fewer are left. */
static const u8 *take(struct reader *r, size_t n)
{
	const u8 *p = r->buf;

	if (n > r->left)
		return NULL;
	r->buf += n;
	r->left -= n;
	return p;
}

static bool take_u32(struct reader *r, u32 *v)
{
	const u8 *p = take(r, 4);

	if (p)
		memcpy(v, p, 4);
	return p;
}

/* A name as a pointer into the buffer; NULL: malformed. */
static const u8 *take_name(struct reader *r, u8 *len)
{
	const u8 *n = take(r, 1);

	if (!n)
		return NULL;
	*len = *n;
	return take(r, *len);
}

static bool name_is(const char *name, const u8 *p, u8 len)
{
	return strlen(name) == len && !memcmp(name, p, len);
}

/*
 * Loads one field; false when the buffer is malformed. *index = its place in the table, or count.
 */
static bool load_field(struct device *d, struct reader *r, u32 *index)
{
	const u8 *name, *width, *data;
	u32 count, i;
	u8 len;

	name = take_name(r, &len);
	width = name ? take(r, 1) : NULL;
	if (!width || !*width || *width > 8 || !take_u32(r, &count))
		return false;
	data = take(r, (size_t)*width * count);
	if (!data)
		return false;
	for (i = 0; i < d->ops->field_count; i++) {
		const struct state_field *f = &d->ops->fields[i];

		if (!name_is(f->name, name, len))
			continue;
		if (f->width != *width || f->count != count)
			return false;
		memcpy((u8 *)d + f->offset, data, (size_t)f->width * f->count);
		break;
	}
	*index = i;
	return true;
}

static bool load_fields(struct device *d, struct reader *r, u32 version)
{
	u64 seen = 0;
	u32 index;

	while (r->left) {
		if (!load_field(d, r, &index))
			return false;
		seen |= index < 64 ? BIT(index) : 0;
	}
	for (u32 i = 0; i < d->ops->field_count && i < 64; i++)
		if (d->ops->fields[i].since <= version && !(seen & BIT(i)))
			return false;
	return true;
}

s64 state_load(struct device *d, const u8 *buf, size_t size)
{
	struct reader r = {buf, size}, fields;
	const u8 *name;
	u32 version, payload;
	u8 len;

	d->ops->reset(d);
	name = take_name(&r, &len);
	if (!name)
		return -E_INVAL;
	if (!name_is(d->ops->name, name, len))
		return -E_NOENT;
	if (!take_u32(&r, &version) || !take_u32(&r, &payload))
		return -E_INVAL;
	fields.buf = take(&r, payload);
	fields.left = payload;
	if (!fields.buf || !load_fields(d, &fields, version)) {
		d->ops->reset(d);
		return -E_INVAL;
	}
	if (d->ops->restored)
		d->ops->restored(d);
	return (s64)(size - r.left);
}
