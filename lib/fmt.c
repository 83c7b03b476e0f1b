#include "lib/fmt.h"

#include "lib/string.h"

struct out {
	char *buf;
	size_t size, len; /* len may run past size: what the whole text needs */
};

struct spec {
	bool left, zero, alt, wide; /* flags '-', '0', '#'; an argument of 8 bytes */
	int width, precision;	    /* precision -1 = not given */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_text(struct out *o, const struct spec *s, const char *text, int n)
{
	for (int i = n; !s->left && i < s->width; i++)
		put(o, ' ');
	for (int i = 0; i < n; i++)
		put(o, text[i]);
	for (int i = n; s->left && i < s->width; i++)
		put(o, ' ');
}

static void put_number(struct out *o, const struct spec *s, u64 v, bool negative, u32 radix)
{
	char tmp[64];
	int at = sizeof(tmp), last, prefix = (negative ? 1 : 0) + (s->alt && v ? 2 : 0);

	for (u64 rest = v; rest || at == (int)sizeof(tmp); rest /= radix)
		tmp[--at] = "0123456789abcdef"[rest % radix];
	last = s->zero && !s->left ? (int)sizeof(tmp) - s->width + prefix : at;
	while (at > MAX(last, prefix))
		tmp[--at] = '0';
	if (s->alt && v) {
		tmp[--at] = 'x';
		tmp[--at] = '0';
	}
	if (negative)
		tmp[--at] = '-';
	put_text(o, s, tmp + at, (int)sizeof(tmp) - at);
}

static const char *parse_count(const char *p, int *n)
{
	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		*n = *n < 10000 ? *n * 10 + (*p - '0') : *n;
	return p;
}

/* Flags, width, precision and length modifier; returns where the conversion stands. */
static const char *parse_spec(const char *p, struct spec *s)
{
	*s = (struct spec){.precision = -1};
	for (; *p == '-' || *p == '0' || *p == '#'; p++) {
		s->left |= *p == '-';
		s->zero |= *p == '0';
		s->alt |= *p == '#';
	}
	p = parse_count(p, &s->width);
	if (*p == '.')
		p = parse_count(p + 1, &s->precision);
	for (; *p == 'l' || *p == 'z'; p++)
		s->wide = true;
	return p;
}

int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = {buf, size, 0};
	const char *text;
	struct spec s;
	s64 n;
	char c;

	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt = parse_spec(fmt + 1, &s);
		switch (*fmt) {
		case 'c':
			c = (char)va_arg(ap, int);
			put_text(&o, &s, &c, 1);
			break;
		case 's':
			text = va_arg(ap, const char *);
			text = text ? text : "(null)";
			put_text(&o, &s, text,
				 (int)strnlen(text,
					      s.precision < 0 ? INT32_MAX : (size_t)s.precision));
			break;
		case 'd':
			n = s.wide ? va_arg(ap, s64) : va_arg(ap, int);
			put_number(&o, &s, n < 0 ? 0 - (u64)n : (u64)n, n < 0, 10);
			break;
		case 'u':
		case 'x':
			put_number(&o, &s, s.wide ? va_arg(ap, u64) : va_arg(ap, unsigned int),
				   false, *fmt == 'x' ? 16 : 10);
			break;
		case '%': put(&o, '%'); break;
		default: /* a mistake in the format: show it, and don't run past its end */
			put(&o, '%');
			fmt--;
		}
	}
	if (size)
		buf[MIN(o.len, size - 1)] = 0;
	return (int)o.len;
}

int fmt_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = fmt_vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}

static int digit_value(char c, u32 radix)
{
	int lower = c | 0x20, v = -1;

	if (c >= '0' && c <= '9')
		v = c - '0';
	else if (lower >= 'a' && lower <= 'f')
		v = lower - 'a' + 10;
	return v < (int)radix ? v : -1;
}

bool fmt_parse_u64(const char *s, const char **end, u64 *out)
{
	u32 radix = s[0] == '0' && (s[1] | 0x20) == 'x' ? 16 : 10;
	const char *p = radix == 16 ? s + 2 : s;
	u64 v = 0;

	if (digit_value(*p, radix) < 0)
		return false;
	for (; digit_value(*p, radix) >= 0; p++)
		if (__builtin_mul_overflow(v, radix, &v) ||
		    __builtin_add_overflow(v, (u64)digit_value(*p, radix), &v))
			return false;
	if (end)
		*end = p;
	*out = v;
	return true;
}

bool fmt_parse_size(const char *s, u64 *out)
{
	static const char units[] = "kmg";
	const char *unit;
	u32 shift = 0;
	u64 v;

	if (!fmt_parse_u64(s, &s, &v))
		return false;
	unit = *s ? strchr(units, *s | 0x20) : NULL;
	if (unit) {
		shift = 10 * (u32)(unit - units + 1);
		s += s[1] == 'i' ? 2 : 1;
		s += *s == 'B';
	}
	if (*s || v > ~0ull >> shift)
		return false;
	*out = v << shift;
	return true;
}
