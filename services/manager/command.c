#include "services/manager/command.h"

#include "lib/fmt.h"
#include "lib/string.h"

const char *const command_groups[GROUPS] = {
	[GROUP_VM] = "Virtual machines",
	[GROUP_HOST] = "Host",
	[GROUP_CONSOLE] = "Console",
};

const struct command commands[COMMANDS] = {
	[CMD_LIST] = {"list", GROUP_VM, "[--all]", "running VMs, or all", NULL, 0, 1, ARG_NONE},
	[CMD_START] = {"start", GROUP_VM, "VM", "start a VM", NULL, 1, 1, ARG_VM},
	[CMD_SHUTDOWN] =
		{"shutdown", GROUP_VM, "VM", "ask a guest to shut down",
		 "Presses the ACPI power button; whether anything happens is up to the guest.", 1,
		 1, ARG_VM},
	[CMD_SUSPEND] = {"suspend", GROUP_VM, "VM", "stop a VM and its clock where they are",
			 "It keeps its memory; resume lets it go on.", 1, 1, ARG_VM},
	[CMD_RESUME] = {"resume", GROUP_VM, "VM", "let a suspended VM go on", NULL, 1, 1, ARG_VM},
	[CMD_DESTROY] =
		{"destroy", GROUP_VM, "VM", "end a VM at once",
		 "Always succeeds for a running VM, whatever its guest does. Its memory comes back.",
		 1, 1, ARG_VM},
	[CMD_CONSOLE] = {"console", GROUP_VM, "VM", "connect to a VM's serial port",
			 "Shows the last 64 KiB that it wrote, then connects. ^] leaves.", 1, 1,
			 ARG_VM},
	[CMD_DOMINFO] = {"dominfo", GROUP_VM, "VM", "what is known about a VM", NULL, 1, 1, ARG_VM},
	[CMD_STAT] = {"stat", GROUP_VM, "[-1] [VM]", "exits by reason, live",
		      "Refreshed each second until a key is pressed; -1 prints it once.", 0, 2,
		      ARG_VM},
	[CMD_SCHEDINFO] = {"schedinfo", GROUP_VM, "VM [--weight N] [--cap CAP] [--cpus LIST]",
			   "show or set what a VM gets of the CPUs",
			   "Weight: 1 to 10000, against other VMs. Cap: none, 25% of one CPU, or "
			   "25000/100000 us. Kept over restarts.",
			   1, 7, ARG_VM},
	[CMD_VCPUINFO] = {"vcpuinfo", GROUP_VM, "VM", "its vCPUs and the CPUs that they use", NULL,
			  1, 1, ARG_VM},
	[CMD_VCPUPIN] = {"vcpupin", GROUP_VM, "VM VCPU LIST", "the CPUs that a vCPU uses",
			 "LIST: such as 0-3,8, or any: all that the VM may use.", 3, 3, ARG_VM},
	[CMD_VCPUCOUNT] = {"vcpucount", GROUP_VM, "VM", "how many vCPUs it has and may have",
			   "config: its definition; live: now.", 1, 1, ARG_VM},
	[CMD_SETVCPUS] = {"setvcpus", GROUP_VM, "VM N", "give a running VM vCPUs, or take some",
			  "By ACPI hot-plug, up to its maxvcpus; its guest may refuse to give one "
			  "back.",
			  2, 2, ARG_VM},
	[CMD_TOP] = {"top", GROUP_VM, "[-1]", "the VMs by CPU time, live",
		     "Refreshed each second until a key is pressed; -1 prints one second.", 0, 1,
		     ARG_NONE},
	[CMD_HOSTINFO] = {"hostinfo", GROUP_HOST, "", "CPUs, memory, virtualization", NULL, 0, 0,
			  ARG_NONE},
	[CMD_NODEINFO] = {"nodeinfo", GROUP_HOST, "", "NUMA nodes: CPUs, memory, distances", NULL,
			  0, 0, ARG_NONE},
	[CMD_DMESG] = {"dmesg", GROUP_HOST, "", "the log", NULL, 0, 0, ARG_NONE},
	[CMD_LOGLEVEL] = {"loglevel", GROUP_HOST, "[0..4]", "show or set what the log lets through",
			  NULL, 0, 1, ARG_NONE},
	[CMD_TRACE] = {"trace", GROUP_HOST, "on|off|dump [N]",
		       "what the CPUs did: exits, interrupts, switches",
		       "dump: the newest N records of each CPU for tools/trace; a key stops it.", 1,
		       2, ARG_NONE},
	[CMD_SELFTEST] = {"selftest", GROUP_HOST, "", "check the live page tables", NULL, 0, 0,
			  ARG_NONE},
	[CMD_REBOOT] = {"reboot", GROUP_HOST, "", "restart the machine; VMs end at once", NULL, 0,
			0, ARG_NONE},
	[CMD_POWEROFF] = {"poweroff", GROUP_HOST, "", "switch the machine off; VMs end at once",
			  NULL, 0, 0, ARG_NONE},
	[CMD_HELP] = {"help", GROUP_CONSOLE, "[COMMAND]", "this list, or more about a command",
		      NULL, 0, 1, ARG_COMMAND},
	[CMD_VERSION] = {"version", GROUP_CONSOLE, "", "the version of Caisson", NULL, 0, 0,
			 ARG_NONE},
	[CMD_RESTART_MANAGER] = {"restart-manager", GROUP_CONSOLE, "",
				 "end the console program; it starts again",
				 "VMs go on undisturbed.", 0, 0, ARG_NONE},
};

const struct command *command_find(const char *name)
{
	for (u32 i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool command_next(const char **rest, struct command_line *out, bool *too_many)
{
	const char *s = *rest;
	u32 len = 0;

	out->words = 0;
	*too_many = false;
	if (!*s)
		return false;
	while (*s && *s != ';' && *s != '#') {
		if (is_blank(*s)) {
			s++;
			continue;
		}
		if (out->words == COMMAND_WORDS)
			*too_many = true;
		else
			out->word[out->words++] = out->text + len;
		while (*s && *s != ';' && !is_blank(*s) && len < sizeof(out->text) - 1)
			out->text[len++] = *s++;
		out->text[len] = 0;
		if (len == sizeof(out->text) - 1)
			*too_many = true;
		else
			len++;
		while (*too_many && *s && *s != ';' && !(*s == '#' && is_blank(s[-1])))
			s++;
	}
	if (*s == '#')
		s += strlen(s);
	*rest = *s == ';' ? s + 1 : s;
	return true;
}

/* ---- Completion ---- */

static void candidate(struct completion *c, const char *typed, u32 n, const char *name)
{
	size_t at = strlen(c->list), same = 0;

	if (strncmp(name, typed, n))
		return;
	if (c->matches++ == 0) {
		str_copy(c->insert, name + n, sizeof(c->insert));
	} else {
		while (c->insert[same] && c->insert[same] == name[n + same])
			same++;
		c->insert[same] = 0;
	}
	fmt_snprintf(c->list + at, sizeof(c->list) - at, "%s%s", at ? "  " : "", name);
}

void command_complete(const char *line, u32 cursor, const char *const *names, u32 count,
		      struct completion *out)
{
	u32 start = cursor, word, end;
	char first[32];
	const struct command *cmd;

	*out = (struct completion){0};
	while (start && line[start - 1] != ';')
		start--;
	while (start < cursor && is_blank(line[start]))
		start++;
	for (word = cursor; word > start && !is_blank(line[word - 1]); word--)
		;
	for (end = start; end < cursor && !is_blank(line[end]); end++)
		;
	if (word == start) {
		for (u32 i = 0; i < COMMANDS; i++)
			candidate(out, line + word, cursor - word, commands[i].name);
	} else {
		str_copy(first, line + start, MIN(end - start + 1, sizeof(first)));
		cmd = command_find(first);
		for (u32 i = 0; cmd && cmd->arg == ARG_COMMAND && i < COMMANDS; i++)
			candidate(out, line + word, cursor - word, commands[i].name);
		for (u32 i = 0; cmd && cmd->arg == ARG_VM && i < count; i++)
			candidate(out, line + word, cursor - word, names[i]);
	}
	size_t n = strlen(out->insert);
	if (out->matches == 1 && n + 1 < sizeof(out->insert)) {
		out->insert[n] = ' ';
		out->insert[n + 1] = 0;
	}
}
