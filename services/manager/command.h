/*
 * The console's commands: their names and help, splitting of lines, completion. No input or output
 * here.
 */
#pragma once

#include "lib/types.h"

/* clang-format off */
enum command_id {
	CMD_LIST, CMD_START, CMD_SHUTDOWN, CMD_SUSPEND, CMD_RESUME, CMD_DESTROY, CMD_CONSOLE,
	CMD_DOMINFO, CMD_STAT, CMD_SCHEDINFO, CMD_VCPUINFO, CMD_VCPUPIN, CMD_VCPUCOUNT,
	CMD_SETVCPUS, CMD_TOP,
	CMD_HOSTINFO, CMD_NODEINFO, CMD_DMESG, CMD_LOGLEVEL, CMD_TRACE, CMD_SELFTEST, CMD_REBOOT,
	CMD_POWEROFF, CMD_HELP, CMD_VERSION, CMD_RESTART_MANAGER,
	COMMANDS
};
/* clang-format on */

enum command_group { GROUP_VM, GROUP_HOST, GROUP_CONSOLE, GROUPS };
enum command_arg { ARG_NONE, ARG_VM, ARG_COMMAND };

struct command {
	const char *name;
	u32 group;	  /* enum command_group */
	const char *args; /* as shown in the usage */
	const char *brief;
	const char *detail; /* further lines of `help COMMAND`, or NULL */
	u32 min, max;	    /* words after the name */
	u32 arg;	    /* enum command_arg: what completes there */
};

extern const struct command commands[COMMANDS];
extern const char *const command_groups[GROUPS];

#define COMMAND_WORDS 8u

struct command_line {
	char text[256];
	u32 words; /* 0 = nothing to do */
	const char *word[COMMAND_WORDS];
};

/*
 * Takes the next command off *rest: words between blanks, up to `;` or the end; `#` at the start of
 * a word begins a comment up to the end. False: no more commands. More than COMMAND_WORDS words:
 * the others are dropped and *too_many is set.
 */
bool command_next(const char **rest, struct command_line *out, bool *too_many);

/* NULL: no such command. */
const struct command *command_find(const char *name);

struct completion {
	/* what the matches have in common beyond what is typed; a blank after a single one */
	char insert[64];
	u32 matches;
	char list[512]; /* the matches, blank-separated */
};

/* For Tab at cursor: the first word is a command, others as the command says. names: of the VMs. */
void command_complete(const char *line, u32 cursor, const char *const *names, u32 count,
		      struct completion *out);
