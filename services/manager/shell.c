/* Lines into commands, help, completion. */
#include "lib/string.h"
#include "services/manager/manager.h"
#include "user/sys.h"

static void cmd_help(struct manager *m, u32 words, const char *const *word)
{
	const struct command *c = words > 1 ? command_find(word[1]) : NULL;

	if (c) {
		con_printf(m, "%s %s\n  %s\n", c->name, c->args, c->brief);
		if (c->detail)
			con_printf(m, "  %s\n", c->detail);
		return;
	}
	if (words > 1) {
		con_printf(m, "error: no command %s: help lists them\n", word[1]);
		return;
	}
	for (u32 g = 0; g < GROUPS; g++) {
		con_printf(m, "%s\n", command_groups[g]);
		for (u32 i = 0; i < COMMANDS; i++)
			if (commands[i].group == g)
				con_printf(m, "  %-16s %-10s %s\n", commands[i].name,
					   commands[i].args, commands[i].brief);
	}
	con_printf(m, "VM is a name or an Id; `;` separates commands, `#` begins a comment.\n");
}

static void cmd_version(struct manager *m, u32 words, const char *const *word)
{
	con_printf(m, "Caisson " CAISSON_VERSION ", system-call interface %u\n",
		   rt_kinfo()->uapi_version);
}

static void cmd_restart_manager(struct manager *m, u32 words, const char *const *word)
{
	domain_exit(0);
}

/* clang-format off */
static const command_fn run[] = {
	[CMD_LIST] = cmd_list,	       [CMD_START] = cmd_start,
	[CMD_SHUTDOWN] = cmd_shutdown, [CMD_DESTROY] = cmd_destroy,
	[CMD_SUSPEND] = cmd_suspend,   [CMD_RESUME] = cmd_resume,
	[CMD_CONSOLE] = cmd_console,   [CMD_DOMINFO] = cmd_dominfo,
	[CMD_STAT] = cmd_stat,	       [CMD_HOSTINFO] = cmd_hostinfo,
	[CMD_DMESG] = cmd_dmesg,       [CMD_LOGLEVEL] = cmd_loglevel,
	[CMD_SELFTEST] = cmd_selftest, [CMD_REBOOT] = cmd_reboot,
	[CMD_POWEROFF] = cmd_poweroff, [CMD_HELP] = cmd_help,
	[CMD_NODEINFO] = cmd_nodeinfo, [CMD_VERSION] = cmd_version,
	[CMD_RESTART_MANAGER] = cmd_restart_manager,
	[CMD_TRACE] = cmd_trace,       [CMD_SCHEDINFO] = cmd_schedinfo,
	[CMD_VCPUINFO] = cmd_vcpuinfo, [CMD_VCPUPIN] = cmd_vcpupin,
	[CMD_TOP] = cmd_top,	       [CMD_SETVCPUS] = cmd_setvcpus,
	[CMD_VCPUCOUNT] = cmd_vcpucount,
};
/* clang-format on */
static_assert(ARRAY_SIZE(run) == COMMANDS, "a function for each command");

void shell_run_line(struct manager *m, const char *line)
{
	char copy[EDITOR_LINE]; /* a command may begin a new line in the editor */
	const char *rest = copy;
	struct command_line cl;
	bool too_many;

	str_copy(copy, line, sizeof(copy));
	while (m->attached < 0 && command_next(&rest, &cl, &too_many)) {
		const struct command *c;

		if (!cl.words)
			continue;
		c = command_find(cl.word[0]);
		if (!c)
			con_printf(m, "error: no command %.32s: help lists them\n", cl.word[0]);
		else if (too_many || cl.words - 1 < c->min || cl.words - 1 > c->max)
			con_printf(m, "error: usage: %s %s\n", c->name, c->args);
		else
			run[c - commands](m, cl.words, cl.word);
	}
}

void shell_complete(struct editor *e)
{
	struct manager *m = container_of(e, struct manager, editor);
	const char *names[MANAGER_VMS];
	struct completion c;

	for (u32 i = 0; i < m->vms; i++)
		names[i] = m->vm[i].info.name;
	command_complete(e->line, e->cursor, names, m->vms, &c);
	if (c.insert[0]) {
		editor_insert(e, c.insert, strlen(c.insert));
	} else if (c.matches > 1) {
		con_printf(m, "\n%s\n", c.list);
		editor_redraw(e);
	} else {
		con_write(m, "\a", 1);
	}
}
