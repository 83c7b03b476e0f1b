/* The parser of VM definitions: one pass over bounded text, one table of keys. */
#include "services/common/vmdef.h"

#include "lib/fmt.h"
#include "lib/string.h"
#include "services/common/cap.h"
#include "services/common/cpulist.h"

#define LINE_MAX 1280u /* a command line of 1023 and its key */

struct parse {
	const char *file;
	u32 line;
	struct vm_def *def;
	struct vmdef_lines *lines;
	char *error;
	size_t error_size;
};

/* A value that does not fit: "FILE:LINE: key = value: expected ..." */
static bool bad_value(struct parse *p, const char *key, const char *value, const char *expected)
{
	fmt_snprintf(p->error, p->error_size, "%s:%u: %s = %.48s%s: expected %s", p->file, p->line,
		     key, value, strlen(value) > 48 ? "..." : "", expected);
	return false;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static bool name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static bool parse_bool(const char *v, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {
		{"yes", true},
		{"on", true},
		{"no", false},
		{"off", false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(v, words[i].word)) {
			*out = words[i].value;
			return true;
		}
	return false;
}

/* ---- One function per kind of key ---- */

static bool key_name(struct parse *p, const char *key, const char *v)
{
	size_t n = strlen(v);
	bool ok = n >= 1 && n < VM_NAME_MAX && v[0] != '-';
	const char *end;
	u64 id;

	for (size_t i = 0; ok && i < n; i++)
		ok = name_char(v[i]);
	if (!ok)
		return bad_value(p, key, v, "1 to 31 of A-Z a-z 0-9 . _ -, no - first");
	if (fmt_parse_u64(v, &end, &id) && !*end)
		return bad_value(p, key, v, "a name that is no number, as an Id is");
	str_copy(p->def->name, v, VM_NAME_MAX);
	p->lines->name = p->line;
	return true;
}

static bool key_memory(struct parse *p, const char *key, const char *v)
{
	if (!fmt_parse_size(v, &p->def->memory))
		return bad_value(p, key, v, "a size such as 256M");
	if (p->def->memory < VMDEF_MEMORY_MIN || p->def->memory > VMDEF_MEMORY_MAX)
		return bad_value(p, key, v, "a size from 2M to 512G");
	if (!IS_ALIGNED(p->def->memory, PAGE_2M))
		return bad_value(p, key, v, "a multiple of 2M");
	p->lines->memory = p->line;
	return true;
}

static bool parse_vcpus(struct parse *p, const char *key, const char *v, u32 *out)
{
	const char *end;
	u64 n;

	if (!fmt_parse_u64(v, &end, &n) || *end || n < 1 || n > VM_VCPUS_MAX)
		return bad_value(p, key, v, "a number of vCPUs from 1 to 64");
	*out = (u32)n;
	return true;
}

static bool key_vcpus(struct parse *p, const char *key, const char *v)
{
	return parse_vcpus(p, key, v, &p->def->vcpus);
}

static bool key_maxvcpus(struct parse *p, const char *key, const char *v)
{
	p->lines->maxvcpus = p->line;
	return parse_vcpus(p, key, v, &p->def->vcpus_max);
}

static bool key_weight(struct parse *p, const char *key, const char *v)
{
	const char *end;
	u64 n;

	if (!fmt_parse_u64(v, &end, &n) || *end || n < 1 || n > 10000)
		return bad_value(p, key, v, "a number from 1 to 10000; 100 is usual");
	p->def->weight = (u32)n;
	return true;
}

static bool key_cap(struct parse *p, const char *key, const char *v)
{
	return cap_parse(v, &p->def->cap) || bad_value(p, key, v, CAP_EXPECTED);
}

static bool key_cpus(struct parse *p, const char *key, const char *v)
{
	p->lines->cpus = p->line;
	return cpulist_parse(v, &p->def->cpus) || bad_value(p, key, v, "CPUs such as 0-3,8");
}

static bool key_module(struct parse *p, const char *key, const char *v, char out[64], u32 *line)
{
	size_t n = strlen(v);
	bool ok = n >= 2 && n <= 64 && v[0] == '@';

	for (size_t i = 1; ok && i < n; i++)
		ok = v[i] > ' ' && v[i] < 0x7f;
	if (!ok)
		return bad_value(p, key, v, "the name of a boot module such as @linux");
	str_copy(out, v + 1, 64);
	*line = p->line;
	return true;
}

static bool key_kernel(struct parse *p, const char *key, const char *v)
{
	return key_module(p, key, v, p->def->kernel, &p->lines->kernel);
}

static bool key_initrd(struct parse *p, const char *key, const char *v)
{
	return key_module(p, key, v, p->def->initrd, &p->lines->initrd);
}

static bool key_cmdline(struct parse *p, const char *key, const char *v)
{
	if (str_copy(p->def->cmdline, v, VM_CMDLINE_MAX) >= VM_CMDLINE_MAX)
		return bad_value(p, key, v, "at most 1023 characters");
	return true;
}

static bool key_autostart(struct parse *p, const char *key, const char *v)
{
	return parse_bool(v, &p->def->autostart) || bad_value(p, key, v, "yes or no");
}

static bool key_populate(struct parse *p, const char *key, const char *v)
{
	return parse_bool(v, &p->def->populate) || bad_value(p, key, v, "yes or no");
}

static bool key_console(struct parse *p, const char *key, const char *v)
{
	if (strcmp(v, "attach") && strcmp(v, "ring"))
		return bad_value(p, key, v, "attach or ring");
	p->def->console_attach = v[0] == 'a';
	return true;
}

/* What the VM's end, or one kind of end, does; on_exit is for the kinds that no key is for. */
static bool key_on_exit(struct parse *p, const char *key, const char *v)
{
	static const char *const names[VM_ENDS] = {
		[VM_END_POWEROFF] = "on_poweroff",
		[VM_END_REBOOT] = "on_reboot",
		[VM_END_CRASH] = "on_crash",
		[VM_END_OTHER] = "on_exit",
	};
	struct vm_at_end at_end = {0};
	const char *end;
	u64 n;

	if (!strcmp(v, "preserve")) {
		at_end.act = ON_EXIT_PRESERVE;
	} else if (!strcmp(v, "restart")) {
		at_end.act = ON_EXIT_RESTART;
	} else if (!strncmp(v, "restart:", 8) && fmt_parse_u64(v + 8, &end, &n) && !*end &&
		   n >= 1 && n <= 1000000) {
		at_end.act = ON_EXIT_RESTART;
		at_end.restart_max = (u32)n;
	} else if (strcmp(v, "destroy")) {
		return bad_value(p, key, v, "destroy, restart, restart:N or preserve");
	}
	for (u32 i = 0; i < VM_ENDS; i++)
		if (!strcmp(names[i], key)) {
			at_end.key = (u8)i;
			p->def->at_end[i] = at_end;
		}
	return true;
}

static const struct key {
	const char *name;
	bool (*set)(struct parse *p, const char *key, const char *value);
	bool required;
	bool may_be_empty;
} keys[] = {
	{.name = "name", .set = key_name, .required = true},
	{.name = "memory", .set = key_memory},
	{.name = "vcpus", .set = key_vcpus},
	{.name = "maxvcpus", .set = key_maxvcpus},
	{.name = "weight", .set = key_weight},
	{.name = "cap", .set = key_cap},
	{.name = "cpus", .set = key_cpus},
	{.name = "kernel", .set = key_kernel, .required = true},
	{.name = "initrd", .set = key_initrd},
	{.name = "cmdline", .set = key_cmdline, .may_be_empty = true},
	{.name = "autostart", .set = key_autostart},
	{.name = "console", .set = key_console},
	{.name = "on_exit", .set = key_on_exit},
	{.name = "on_poweroff", .set = key_on_exit},
	{.name = "on_reboot", .set = key_on_exit},
	{.name = "on_crash", .set = key_on_exit},
	{.name = "populate", .set = key_populate},
};
#define KEYS ARRAY_SIZE(keys)

/* ---- Lines ---- */

/* Copies a line without its comment and the blanks around it. False: the error is set. */
static bool line_clean(struct parse *p, const char *s, size_t n, char *out)
{
	size_t len = 0;

	while (n && is_blank(*s))
		s++, n--;
	for (size_t i = 0; i < n; i++) {
		u8 c = (u8)s[i];

		if (c == '#' && (i == 0 || is_blank(s[i - 1])))
			break;
		if (c == '\r' && i == n - 1)
			break;
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			fmt_snprintf(p->error, p->error_size, "%s:%u: byte 0x%02x: expected text",
				     p->file, p->line, c);
			return false;
		}
		if (len == LINE_MAX - 1) {
			fmt_snprintf(p->error, p->error_size,
				     "%s:%u: line too long: expected at most %u characters",
				     p->file, p->line, LINE_MAX - 1);
			return false;
		}
		out[len++] = (char)c;
	}
	while (len && is_blank(out[len - 1]))
		len--;
	out[len] = 0;
	return true;
}

/* line = "key = value", cleaned, not empty. seen: bit per key. */
static bool line_take(struct parse *p, char *line, u32 *seen)
{
	char *eq = strchr(line, '='), *end, *value;

	if (!eq || eq == line) {
		fmt_snprintf(p->error, p->error_size, "%s:%u: %.48s: expected key = value", p->file,
			     p->line, line);
		return false;
	}
	for (end = eq; end > line && is_blank(end[-1]); end--)
		;
	*end = 0;
	for (value = eq + 1; is_blank(*value); value++)
		;
	for (u32 i = 0; i < KEYS; i++) {
		if (strcmp(line, keys[i].name))
			continue;
		if (*seen & BIT(i)) {
			fmt_snprintf(p->error, p->error_size,
				     "%s:%u: %s: given twice: expected it once", p->file, p->line,
				     line);
			return false;
		}
		*seen |= (u32)BIT(i);
		if (!*value && !keys[i].may_be_empty)
			return bad_value(p, line, value, "a value");
		return keys[i].set(p, line, value);
	}
	int at = fmt_snprintf(p->error, p->error_size, "%s:%u: %.32s: unknown key: expected one of",
			      p->file, p->line, line);
	for (u32 i = 0; i < KEYS && (size_t)at < p->error_size; i++)
		at += fmt_snprintf(p->error + at, p->error_size - (size_t)at, " %s", keys[i].name);
	return false;
}

/* What several keys say together. */
static bool check_together(struct parse *p)
{
	struct vm_def *d = p->def;

	for (u32 i = 0; i < VM_ENDS; i++)
		if (d->at_end[i].key == VM_END_OTHER)
			d->at_end[i] = d->at_end[VM_END_OTHER];
	if (!d->vcpus_max)
		d->vcpus_max = d->vcpus;
	if (d->vcpus_max >= d->vcpus)
		return true;
	fmt_snprintf(p->error, p->error_size,
		     "%s:%u: maxvcpus = %u: expected at least the %u of vcpus", p->file,
		     p->lines->maxvcpus, d->vcpus_max, d->vcpus);
	return false;
}

bool vmdef_parse(const char *file, const char *text, size_t n, struct vm_def *out,
		 struct vmdef_lines *lines, char *error, size_t error_size)
{
	struct parse p = {file, 0, out, lines, error, error_size};
	char line[LINE_MAX];
	size_t at = 0;
	u32 seen = 0;

	*out = (struct vm_def){.at_end[0 ... VM_ENDS - 1] = {.key = VM_END_OTHER},
			       .memory = MiB(256),
			       .vcpus = 1,
			       .weight = 100,
			       .autostart = true};
	*lines = (struct vmdef_lines){0};
	if (n > VMDEF_TEXT_MAX) {
		fmt_snprintf(error, error_size,
			     "%s: %zu bytes: expected a definition of at most 64 KiB", file, n);
		return false;
	}
	while (at < n) {
		size_t end = at;

		while (end < n && text[end] != '\n')
			end++;
		p.line++;
		if (!line_clean(&p, text + at, end - at, line) ||
		    (line[0] && !line_take(&p, line, &seen)))
			return false;
		at = end + 1;
	}
	for (u32 i = 0; i < KEYS; i++)
		if (keys[i].required && !(seen & BIT(i))) {
			fmt_snprintf(error, error_size, "%s: no %s: expected a line %s = ...", file,
				     keys[i].name, keys[i].name);
			return false;
		}
	return check_together(&p);
}
