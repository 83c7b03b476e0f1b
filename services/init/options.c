#include "services/init/options.h"

#include "lib/fmt.h"
#include "lib/string.h"

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

static bool set_exitport(struct init_options *o, const char *v)
{
	const char *end;
	u64 port;

	if (!fmt_parse_u64(v, &end, &port) || *end || !port || port > 0xffff)
		return false;
	o->exitport = (u16)port;
	o->has_exitport = true;
	return true;
}

static const struct {
	const char *key;
	bool (*set)(struct init_options *o, const char *value);
	const char *expected;
} options[] = {
	{"autostart=", set_autostart, "autostart=on or autostart=off"},
	{"exit=", set_exit, "exit=last-vm"},
	{"exitport=", set_exitport, "a port such as exitport=0xf4"},
};

void init_options_parse(const char *cmdline, struct init_options *out,
			void (*complain)(const char *option, const char *expected))
{
	char word[64];

	*out = (struct init_options){.autostart = true};
	while (*cmdline) {
		size_t n = 0;

		while (*cmdline == ' ')
			cmdline++;
		while (cmdline[n] && cmdline[n] != ' ')
			n++;
		str_copy(word, cmdline, MIN(n + 1, sizeof(word)));
		cmdline += n;
		for (u32 i = 0; i < ARRAY_SIZE(options); i++) {
			size_t key = strlen(options[i].key);

			if (!strncmp(word, options[i].key, key) && !options[i].set(out, word + key))
				complain(word, options[i].expected);
		}
	}
}
