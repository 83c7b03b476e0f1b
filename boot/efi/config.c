#include "boot/efi/config.h"

#include "lib/fmt.h"
#include "lib/string.h"

#define LINE_MAX 1536

static bool __printf(3, 4) fail(struct config *c, u32 line, const char *fmt, ...)
{
	int n = line ? fmt_snprintf(c->error, sizeof(c->error), "%u: ", line) : 0;
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(c->error + n, sizeof(c->error) - (u32)n, fmt, ap);
	va_end(ap);
	return false;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* A # behind a blank, or at the line's start, begins a comment. */
static void cut_comment(char *s)
{
	for (char *c = s; (c = strchr(c, '#')); c++)
		if (c == s || is_blank(c[-1])) {
			*c = 0;
			return;
		}
}

/* Without the blanks at both ends. */
static char *trim(char *s)
{
	size_t n;

	while (is_blank(*s))
		s++;
	for (n = strlen(s); n && is_blank(s[n - 1]); n--)
		s[n - 1] = 0;
	return s;
}

static bool set_kernel(struct config *c, u32 line, char *value)
{
	if (c->kernel[0])
		return fail(c, line, "kernel: given before, in line %u", c->kernel_line);
	c->kernel_line = line;
	if (str_copy(c->kernel, value, sizeof(c->kernel)) >= sizeof(c->kernel))
		return fail(c, line, "kernel: the path has more than %u characters",
			    CONFIG_PATH - 1);
	return true;
}

static bool add_args(struct config *c, u32 line, char *value)
{
	size_t used = strlen(c->args);

	if (used + !!used + strlen(value) + 1 > sizeof(c->args))
		return fail(c, line, "args: more than %u characters", BOOT_CMDLINE - 1);
	if (used)
		c->args[used++] = ' ';
	str_copy(c->args + used, value, sizeof(c->args) - used);
	return true;
}

static bool add_module(struct config *c, u32 line, char *value)
{
	struct config_module *m = &c->module[c->modules];
	char *path = value;

	if (c->modules == BOOT_MAX_MODULES)
		return fail(c, line, "module: more than %u", BOOT_MAX_MODULES);
	while (*path && !is_blank(*path))
		path++;
	if (!*path)
		return fail(c, line, "module = %.60s: expected a name and a path", value);
	*path++ = 0;
	if (str_copy(m->name, value, sizeof(m->name)) >= sizeof(m->name))
		return fail(c, line, "module: the name has more than %u characters",
			    BOOT_MODULE_NAME - 1);
	for (u32 i = 0; i < c->modules; i++)
		if (!strcmp(c->module[i].name, m->name))
			return fail(c, line, "module %s: given before, in line %u", m->name,
				    c->module[i].line);
	if (str_copy(m->path, trim(path), sizeof(m->path)) >= sizeof(m->path))
		return fail(c, line, "module %s: the path has more than %u characters", m->name,
			    CONFIG_PATH - 1);
	m->line = line;
	c->modules++;
	return true;
}

static const struct {
	const char *name;
	bool (*set)(struct config *c, u32 line, char *value);
} keys[] = {{"kernel", set_kernel}, {"args", add_args}, {"module", add_module}};

static bool parse_line(struct config *c, u32 line, char *s)
{
	char *value;

	cut_comment(s);
	s = trim(s);
	if (!*s)
		return true;
	value = strchr(s, '=');
	if (!value)
		return fail(c, line, "%.60s: expected key = value", s);
	*value++ = 0;
	s = trim(s);
	value = trim(value);
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].name, s))
			continue;
		return *value ? keys[i].set(c, line, value) : fail(c, line, "%s: has no value", s);
	}
	return fail(c, line, "%.60s: unknown key: expected kernel, args or module", s);
}

bool config_parse(const char *text, u64 bytes, struct config *out)
{
	static char line[LINE_MAX];
	u32 number = 1, n = 0;

	memset(out, 0, sizeof(*out));
	for (u64 at = 0; at <= bytes; at++) {
		char c = at < bytes ? text[at] : '\n';

		if (c == '\n') {
			line[n] = 0;
			if (!parse_line(out, number, line))
				return false;
			number++;
			n = 0;
		} else if ((u8)c > '~' || ((u8)c < ' ' && !is_blank(c))) {
			return fail(out, number, "byte %#x: expected ASCII text", (u8)c);
		} else if (n == LINE_MAX - 1) {
			return fail(out, number, "the line has more than %u characters",
				    LINE_MAX - 1);
		} else {
			line[n++] = c;
		}
	}
	return out->kernel[0] || fail(out, 0, " no line kernel = PATH");
}
