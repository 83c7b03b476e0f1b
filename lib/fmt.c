#include "lib/fmt.h"

#include "lib/string.h"

struct out {
	char *buf;
	size_t size, len; /* len may run past size: what the whole text needs */
};

struct spec {
	bool left, zero, alt, plus;
	int width, precision; /* precision -1 = not given */
	u8 bytes;	      /* of the integer argument */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void pad(struct out *o, char c, int n)
{
	while (n-- > 0)
		put(o, c);
}

static void put_text(struct out *o, const struct spec *s, const char *text, int n)
{
	if (!s->left)
		pad(o, ' ', s->width - n);
	for (int i = 0; i < n; i++)
		put(o, text[i]);
	if (s->left)
		pad(o, ' ', s->width - n);
}

static void put_number(struct out *o, const struct spec *s, u64 v, bool negative, char conv)
{
	const char *digits = conv == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	u32 radix = conv == 'x' || conv == 'X' ? 16 : 10;
	bool prefix = s->alt && radix == 16 && v;
	char tmp[20];
	int n = 0;

	for (; v; v /= radix)
		tmp[n++] = digits[v % radix];
	int zeros = MAX(s->precision < 0 ? 1 : s->precision, n) - n;
	int fixed = n + negative + (prefix ? 2 : 0);

	if (s->zero && !s->left && s->precision < 0)
		zeros = MAX(zeros, s->width - fixed);
	if (!s->left)
		pad(o, ' ', s->width - fixed - zeros);
	if (negative)
		put(o, '-');
	if (prefix) {
		put(o, '0');
		put(o, conv);
	}
	pad(o, '0', zeros);
	for (int i = n; i-- > 0;)
		put(o, tmp[i]);
	if (s->left)
		pad(o, ' ', s->width - fixed - zeros);
}

static int parse_count(const char **p, int from_list)
{
	int n = 0;

	if (**p == '*') {
		++*p;
		return from_list;
	}
	for (; **p >= '0' && **p <= '9'; ++*p)
		n = n < 10000 ? n * 10 + (**p - '0') : n;
	return n;
}

static const char *parse_flags(const char *p, struct spec *s)
{
	for (;; p++)
		switch (*p) {
		case '-': s->left = true; break;
		case '0': s->zero = true; break;
		case '#': s->alt = true; break;
		case '+': break;
		default: return p;
		}
}

static const char *parse_length(const char *p, struct spec *s)
{
	s->bytes = 4;
	if (*p == 'h') {
		s->bytes = p[1] == 'h' ? 1 : 2;
		return p + (p[1] == 'h' ? 2 : 1);
	}
	if (*p == 'l' || *p == 'z') {
		s->bytes = 8;
		return p + (p[0] == 'l' && p[1] == 'l' ? 2 : 1);
	}
	return p;
}

static void put_integer(struct out *o, const struct spec *s, u64 v, char conv)
{
	u32 unused = 64 - s->bytes * 8u;
	bool negative = false;

	if (conv == 'd' || conv == 'i') {
		s64 n = (s64)(v << unused) >> unused;

		negative = n < 0;
		v = negative ? 0 - (u64)n : (u64)n;
	} else {
		v = v << unused >> unused;
	}
	put_number(o, s, v, negative, conv);
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	text = text ? text : "(null)";
	put_text(o, s, text,
		 (int)strnlen(text, s->precision < 0 ? INT32_MAX : (size_t)s->precision));
}

int fmt_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct out o = {buf, size, 0};

	for (; *fmt; fmt++) {
		struct spec s = {.precision = -1};

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt = parse_flags(fmt + 1, &s);
		s.width = parse_count(&fmt, *fmt == '*' ? va_arg(ap, int) : 0);
		if (s.width < 0) {
			s.left = true;
			s.width = s.width < -10000 ? 10000 : -s.width;
		}
		if (*fmt == '.') {
			fmt++;
			s.precision = parse_count(&fmt, *fmt == '*' ? va_arg(ap, int) : 0);
		}
		fmt = parse_length(fmt, &s);
		switch (*fmt) {
		case 'c': {
			char c = (char)va_arg(ap, int);

			put_text(&o, &s, &c, 1);
			break;
		}
		case 's':
			put_string(&o, &s, va_arg(ap, const char *));
			break;
		case 'd': case 'i': case 'u': case 'x': case 'X':
			put_integer(&o, &s,
				    s.bytes == 8 ? va_arg(ap, u64) : va_arg(ap, unsigned int),
				    *fmt);
			break;
		case 'p':
			s.alt = true;
			put_number(&o, &s, (u64)(uintptr_t)va_arg(ap, void *), false, 'x');
			break;
		case '%':
			put(&o, '%');
			break;
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
	u32 shift = 0;
	u64 v;

	if (!fmt_parse_u64(s, &s, &v))
		return false;
	switch (*s | 0x20) {
	case 'k': shift = 10; break;
	case 'm': shift = 20; break;
	case 'g': shift = 30; break;
	}
	if (shift) {
		s++;
		if (*s == 'i')
			s++;
		if (*s == 'B')
			s++;
	}
	if (*s || v > ~0ull >> shift)
		return false;
	*out = v << shift;
	return true;
}
