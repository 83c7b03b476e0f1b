#include "services/init/options.h"

#include "lib/fmt.h"
#include "lib/string.h"
#include "services/common/cpulist.h"
#include "uapi/image.h"

static bool set_autostart(struct init_options *o, const char *v)
{
	bool on = !strcmp(v, "on") || !strcmp(v, "yes");

	if (!on && strcmp(v, "off") && strcmp(v, "no"))
		return false;
	o->autostart = on;
	return true;
}

static bool set_exit(struct init_options *o, const char *v)
{
	if (strcmp(v, "last-vm"))
		return false;
	o->exit_last_vm = true;
	return true;
}

static bool set_isolcpus(struct init_options *o, const char *v)
{
	return cpulist_parse(v, &o->isolated);
}

/*
 * Those without a function are the kernel's, which has left them since it did not understand them.
 */
static const struct {
	const char *name;
	bool (*set)(struct init_options *o, const char *value);
	const char *expected;
} options[] = {
	{"autostart", set_autostart, "on or off"},
	{"exit", set_exit, "last-vm"},
	{"isolcpus", set_isolcpus, "CPUs such as 2-3"},
	{"console", NULL,
	 "vga, or com1..com4 or a port such as 0x3f8, then a baud rate that divides 115200 and "
	 "8n1, or both: vga,com1,115200,8n1"},
	{"exitport", NULL, "a port such as 0xf4"},
	{"loglevel", NULL, "error, warn, notice, info, debug or 0 to 4"},
	{"maxcpus", NULL, "a number from 1"},
	{"mem", NULL, "a size of at least 64M, such as 2G"},
	{"tsc", NULL, "reliable or off"},
	{"noapicv", NULL, "no value"},
	{"nounrestricted", NULL, "no value"},
	{"noreboot", NULL, "no value"},
	{"spec-ctrl", NULL, "auto, on or off"},
	{"coresched", NULL, "on or off"},
	{"reboot", NULL, "acpi, pci, kbd or triple"},
};

static void parse_word(char *word, struct init_options *out, init_complain_fn complain)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = 0;
	for (u32 i = 0; i < ARRAY_SIZE(options); i++) {
		if (strcmp(options[i].name, word))
			continue;
		if (!options[i].set || !options[i].set(out, value ? value : ""))
			complain(word, value ? value : "", options[i].expected);
		return;
	}
	complain(word, value ? value : "", NULL);
}

void init_options_parse(const char *cmdline, struct init_options *out, init_complain_fn complain)
{
	char word[sizeof(((struct init_info *)NULL)->cmdline)];

	*out = (struct init_options){.autostart = true};
	while (*cmdline) {
		size_t n = 0;

		while (*cmdline == ' ')
			cmdline++;
		while (cmdline[n] && cmdline[n] != ' ')
			n++;
		str_copy(word, cmdline, MIN(n + 1, sizeof(word)));
		cmdline += n;
		if (n)
			parse_word(word, out, complain);
	}
}
