/* The console program: a shell, and the serial ports of VMs. One thread. */
#pragma once

#include "services/manager/command.h"
#include "services/manager/editor.h"
#include "services/proto.h"
#include "user/rt.h"

#define MANAGER_VMS 256u
#define CAISSON_VERSION "0.1"
#define KEY_LEAVE 0x1d /* ^] */

/* A VM as seen from here. view is written by its monitor: hostile. */
struct vm_client {
	struct init_vm_info info; /* as of the last vm_refresh */
	handle_t event;		  /* of the running monitor, else HANDLE_NONE */
	u32 event_generation;	  /* for which event was fetched */
	struct vm_shared *view;	  /* NULL: the definition could not be read */
	u64 shown;		  /* bytes of its output shown so far, while attached */
	u32 seen;		  /* generation that was attached automatically, or passed over */
	bool left;		  /* by ^]: a restart does not take the terminal again */
	bool again;		  /* it was connected when it ended: a restart takes the terminal */
};

struct manager {
	struct manager_start start;
	handle_t idle; /* an event that nobody signals, for pauses */
	struct vm_client vm[MANAGER_VMS];
	u32 vms;
	s32 attached; /* index of the VM whose console is shown; -1 = the shell */
	struct editor editor;
};

/* ---- console.c: bytes to and from the terminal ---- */
void con_write(struct manager *m, const char *s, size_t n); /* waits for room, up to 2 s */
void con_printf(struct manager *m, const char *fmt, ...) __printf(2, 3); /* \n becomes \r\n */
size_t con_try_write(struct manager *m, const void *s, size_t n); /* never waits; bytes taken */
size_t con_read(struct manager *m, u8 *buf, size_t n);		  /* never waits */
/* Waits until the deadline or a key. True: a key was pressed (and taken). */
bool con_wait_key(struct manager *m, u64 deadline);

/* ---- vms.c: what init and the monitors know ---- */
/* Learns of all VMs and attaches their shared memory. */
void vms_open(struct manager *m);
/* info anew, and an event of before is closed. False: init does not answer. */
bool vm_refresh(struct manager *m, u32 index);
/* INIT_VM_START, INIT_VM_DESTROY, INIT_POWEROFF, INIT_REBOOT. 0 or a negative error. */
s64 init_call(struct manager *m, enum init_call call, u64 index);
s64 init_sched(struct manager *m, u32 index, enum thread_op op, u64 value); /* INIT_VM_SCHED */
/* Statistics of its domain. Negative: it has none, or the error. */
int vm_domain_info(struct manager *m, u32 index, struct domain_info *out);
/* What its monitor says, which runs: enum vm_state, or nonsense. */
u32 vm_state(const struct vm_client *vm);
static inline bool vm_paused(const struct vm_client *vm)
{
	return vm->info.running && vm_state(vm) == VM_STATE_PAUSED;
}
/* enum vm_event_bits to the monitor, if it runs. */
void vm_signal(struct manager *m, u32 index, u64 bits);
/* By name or by number. -1: none (and it says so). */
s32 vm_find(struct manager *m, const char *name);

/* ---- attach.c: a VM's console on the terminal ---- */
/* from_start: what is kept of its output first; else only what was not shown yet. */
void attach_begin(struct manager *m, u32 index, bool from_start);
/* Back to the shell: a new prompt. */
void attach_end(struct manager *m);
void attach_none(struct manager *m); /* ^] at the prompt: no VM takes the terminal by itself */
/* Moves output to the terminal. True: more is waiting than the terminal takes now. */
bool attach_pump(struct manager *m);
void attach_input(struct manager *m, u8 c);
/* The VM started or ended. */
void attach_state_changed(struct manager *m, u32 index);

/* cmd_vm.c: as vm_find, one that runs and is loaded. */
s32 vm_find_loaded(struct manager *m, const char *name);
/* The vCPUs that it has now, or begins with: a bit for each; how many they are. */
u64 vm_vcpu_mask(const struct vm_client *vm);
u32 vm_vcpus(const struct vm_client *vm);

/* ---- shell.c, cmd_vm.c, cmd_host.c, cmd_node.c, cmd_trace.c ---- */
void shell_run_line(struct manager *m, const char *line);
void shell_complete(struct editor *e);
typedef void (*command_fn)(struct manager *m, u32 words, const char *const *word);
void cmd_list(struct manager *m, u32 words, const char *const *word);
void cmd_start(struct manager *m, u32 words, const char *const *word);
void cmd_shutdown(struct manager *m, u32 words, const char *const *word);
void cmd_suspend(struct manager *m, u32 words, const char *const *word);
void cmd_resume(struct manager *m, u32 words, const char *const *word);
void cmd_destroy(struct manager *m, u32 words, const char *const *word);
void cmd_console(struct manager *m, u32 words, const char *const *word);
void cmd_dominfo(struct manager *m, u32 words, const char *const *word);
void cmd_stat(struct manager *m, u32 words, const char *const *word);
void cmd_nodeinfo(struct manager *m, u32 words, const char *const *word);
void cmd_schedinfo(struct manager *m, u32 words, const char *const *word);
void cmd_vcpuinfo(struct manager *m, u32 words, const char *const *word);
void cmd_vcpupin(struct manager *m, u32 words, const char *const *word);
void cmd_setvcpus(struct manager *m, u32 words, const char *const *word);
void cmd_vcpucount(struct manager *m, u32 words, const char *const *word);
void cmd_top(struct manager *m, u32 words, const char *const *word);
void cmd_hostinfo(struct manager *m, u32 words, const char *const *word);
void cmd_dmesg(struct manager *m, u32 words, const char *const *word);
void cmd_loglevel(struct manager *m, u32 words, const char *const *word);
void cmd_trace(struct manager *m, u32 words, const char *const *word);
void cmd_selftest(struct manager *m, u32 words, const char *const *word);
void cmd_reboot(struct manager *m, u32 words, const char *const *word);
void cmd_poweroff(struct manager *m, u32 words, const char *const *word);
