#include "kernel/options.h"

#include "lib/fmt.h"
#include "lib/string.h"

#define WORD_MAX 128

typedef bool (*option_fn)(struct boot_options *o, const char *value);

static bool set_console(struct boot_options *o, const char *v)
{
	size_t n = strlen(v);

	if (!n || n >= sizeof(o->console))
		return false;
	o->vga = !strncmp(v, "vga", 3) && (!v[3] || v[3] == ',');
	str_copy(o->console, v + (o->vga ? 3 + (v[3] == ',') : 0), sizeof(o->console));
	if (!o->vga && n > 4 && !strcmp(v + n - 4, ",vga")) {
		o->vga = true;
		o->console[n - 4] = 0;
	}
	return true;
}

/* clang-format off */
static const char *const level_names[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_NOTICE] = "notice", [LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};
/* clang-format on */

static bool set_loglevel(struct boot_options *o, const char *v)
{
	for (u32 i = 0; i < ARRAY_SIZE(level_names); i++)
		if (!strcmp(v, level_names[i]) || (v[0] == (char)('0' + i) && !v[1])) {
			o->loglevel = (enum log_level)i;
			return true;
		}
	return false;
}

static bool parse_number(const char *v, u64 max, u64 *n)
{
	const char *end;

	return fmt_parse_u64(v, &end, n) && !*end && *n <= max;
}

static bool set_maxcpus(struct boot_options *o, const char *v)
{
	u64 n;

	if (!parse_number(v, 4096, &n) || !n)
		return false;
	o->maxcpus = (u32)n;
	return true;
}

static bool set_mem(struct boot_options *o, const char *v)
{
	u64 size;

	if (!fmt_parse_size(v, &size) || size < MiB(64))
		return false;
	o->mem = size;
	return true;
}

static bool set_tsc(struct boot_options *o, const char *v)
{
	return (!strcmp(v, "reliable") || !strcmp(v, "off")) && str_copy(o->tsc, v, sizeof(o->tsc));
}

/* clang-format off */
static const char *const reset_names[RESET_METHODS] = {
	[RESET_ACPI] = "acpi", [RESET_PCI] = "pci", [RESET_KBD] = "kbd", [RESET_TRIPLE] = "triple",
};
/* clang-format on */

static bool set_reboot(struct boot_options *o, const char *v)
{
	for (u32 i = 0; i < RESET_METHODS; i++)
		if (!strcmp(v, reset_names[i])) {
			o->reboot = (enum reset_method)i;
			return true;
		}
	return false;
}

static bool set_noreboot(struct boot_options *o, const char *v)
{
	o->noreboot = true;
	return !*v;
}

static bool set_exitport(struct boot_options *o, const char *v)
{
	u64 n;

	if (!parse_number(v, 0xfffc, &n) || !n)
		return false;
	o->exit_port = (u16)n;
	return true;
}

static bool check_autostart(struct boot_options *o, const char *v)
{
	return !strcmp(v, "on") || !strcmp(v, "off");
}

static bool check_exit(struct boot_options *o, const char *v) { return !strcmp(v, "last-vm"); }

static const struct option {
	const char *name;
	option_fn fn;
	const char *expected;
} option_table[] = {
	{"console", set_console,
	 "vga, or com1..com4 or a port such as 0x3f8 then ,baud,8n1, or both"},
	{"loglevel", set_loglevel, "error, warn, notice, info, debug or 0 to 4"},
	{"maxcpus", set_maxcpus, "a number from 1"},
	{"mem", set_mem, "a size of at least 64M, such as 2G"},
	{"tsc", set_tsc, "reliable or off"},
	{"noreboot", set_noreboot, "no value"},
	{"reboot", set_reboot, "acpi, pci, kbd or triple"},
	{"exitport", set_exitport, "a port such as 0xf4"},
	{"autostart", check_autostart, "on or off"}, /* init acts on these two */
	{"exit", check_exit, "last-vm"},
};

static void parse_word(char *word, struct boot_options *o, void (*report)(const char *message))
{
	char message[256];
	char *value = strchr(word, '=');

	if (value)
		*value++ = 0;
	for (u32 i = 0; i < ARRAY_SIZE(option_table); i++) {
		const struct option *opt = &option_table[i];

		if (strcmp(opt->name, word))
			continue;
		if (!opt->fn(o, value ? value : "")) {
			fmt_snprintf(message, sizeof(message),
				     "boot option %s=%s is ignored: expected %s", word,
				     value ? value : "", opt->expected);
			report(message);
		}
		return;
	}
	fmt_snprintf(message, sizeof(message), "boot option %s is unknown and ignored", word);
	report(message);
}

void options_parse(const char *line, struct boot_options *o, void (*report)(const char *message))
{
	char word[WORD_MAX];

	*o = (struct boot_options){.loglevel = LOG_INFO, .vga = true};
	str_copy(o->console, "com1,115200,8n1", sizeof(o->console));
	while (*line) {
		u32 n = 0;

		while (*line == ' ' || *line == '\t')
			line++;
		for (; *line && *line != ' ' && *line != '\t'; line++)
			if (n < WORD_MAX - 1)
				word[n++] = *line;
		word[n] = 0;
		if (n == WORD_MAX - 1)
			report("a boot option is longer than 126 characters and is ignored");
		else if (n)
			parse_word(word, o, report);
	}
}
