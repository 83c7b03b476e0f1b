#include "kernel/options.h"

#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "hv/up.h"
#include "lib/fmt.h"
#include "lib/string.h"

#define WORD_MAX 128
#define FIELD(name) offsetof(struct boot_options, name)

/* A number from min to max, or one of the words: its place in the list. */
/* clang-format off */
static const struct option {
	const char *name;
	size_t field; /* a u64 of struct boot_options */
	u64 min, max; /* 1 and 0: no number */
	const char *word[6];
} options[] = {
	{"loglevel", FIELD(loglevel), 0, LOG_DEBUG,
	 {[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_NOTICE] = "notice", [LOG_INFO] = "info",
	  [LOG_DEBUG] = "debug"}},
	{"maxcpus", FIELD(maxcpus), 1, 4096, {NULL}},
	{"mem", FIELD(mem), MiB(64), ~0ull, {NULL}},
	{"tsc", FIELD(tsc), 1, 0, {[TSC_RELIABLE] = "reliable", [TSC_OFF] = "off"}},
	{"noreboot", FIELD(noreboot), 1, 0, {[1] = ""}},
	{"noapicv", FIELD(noapicv), 1, 0, {[1] = ""}},
	{"nounrestricted", FIELD(nounrestricted), 1, 0, {[1] = ""}},
	{"reboot", FIELD(reboot), 1, 0,
	 {[RESET_ACPI] = "acpi", [RESET_PCI] = "pci", [RESET_KBD] = "kbd", [RESET_TRIPLE] = "triple"}},
	{"spec-ctrl", FIELD(spec), 1, 0,
	 {[SPEC_AUTO] = "auto", [SPEC_OFF] = "off", [SPEC_ON] = "on"}},
	{"coresched", FIELD(coresched), 1, 0, {[0] = "off", [1] = "on"}},
	{"exitport", FIELD(exit_port), 1, 0xfffc, {NULL}},
};
/* clang-format on */

/* vga, a serial line, or both in any order. */
static bool take_console(struct boot_options *o, char *v)
{
	size_t n = strlen(v);
	bool first = !strncmp(v, "vga", 3) && (!v[3] || v[3] == ','),
	     last = !first && n > 4 && !strcmp(v + n - 4, ",vga");
	struct uart_config uart = o->uart;

	if (first)
		v += v[3] ? 4 : 3;
	else if (last)
		v[n - 4] = 0;
	if ((*v || !first) && !uart_parse(v, &uart))
		return false;
	o->vga = first || last;
	o->serial = *v;
	o->uart = uart;
	return true;
}

static bool take_value(const struct option *opt, const char *v, u64 *out)
{
	u64 n;

	for (u32 i = 0; i < ARRAY_SIZE(opt->word); i++)
		if (opt->word[i] && !strcmp(v, opt->word[i])) {
			*out = i;
			return true;
		}
	if (!fmt_parse_size(v, &n) || n < opt->min || n > opt->max)
		return false;
	*out = n;
	return true;
}

/* False: the word stays. */
static bool take_word(struct boot_options *o, char *word)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = 0;
	else
		value = word + strlen(word);
	if (!strcmp(word, "console"))
		return take_console(o, value);
	for (const struct option *opt = options; opt < options + ARRAY_SIZE(options); opt++)
		if (!strcmp(opt->name, word))
			return take_value(opt, value, (u64 *)((u8 *)o + opt->field));
	return false;
}

void options_parse(char *line, struct boot_options *o)
{
	char word[WORD_MAX], *rest = line;

	*o = (struct boot_options){.loglevel = LOG_INFO, .vga = true};
	o->serial = uart_parse("com1,115200,8n1", &o->uart);
	while (*line) {
		size_t n = 0;

		while (line[n] && line[n] != ' ' && line[n] != '\t')
			n++;
		str_copy(word, line, MIN(n + 1, sizeof(word)));
		if (n >= sizeof(word) || !take_word(o, word))
			for (size_t i = 0; i < n; i++)
				*rest++ = line[i];
		line += n;
		if (*line && line++)
			*rest++ = ' ';
	}
	*rest = 0;
}
