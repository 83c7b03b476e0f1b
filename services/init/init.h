/*
 * The root task. The main thread owns the port and sees domains end; a second thread serves
 * manager's calls. Both work on the table of VMs under one lock.
 */
#pragma once

#include "lib/ratelimit.h"
#include "lib/types.h"
#include "services/common/vmdef.h"
#include "services/init/options.h"
#include "services/init/process.h"
#include "services/proto.h"
#include "uapi/image.h"
#include "user/rt.h"

#define INIT_VMS 256u

/* What the port's packets mean: a kind and, for a VM, its index and the generation that ended. */
#define KEY_WAKE 1ull
#define KEY_MANAGER 2ull
#define KEY_VM 3ull
#define KEY(kind, index, generation) ((kind) << 56 | (u64)(index) << 32 | (generation))
#define KEY_KIND(key) ((key) >> 56)
#define KEY_INDEX(key) ((u32)((key) >> 32) & 0xffffff)
#define KEY_GENERATION(key) ((u32)(key))

/* [I] immutable after the definitions were read; all else under init->lock */
struct vm {
	struct vm_def def;	  /* [I] */
	struct vmdef_lines lines; /* [I] */
	char file[64];		  /* [I] of the definition */
	char error[VM_ERROR_MAX]; /* [I] why it can never start, or why the last start failed */
	bool broken;		  /* [I] */
	struct init_module kernel, initrd; /* [I] memory HANDLE_NONE = none */
	handle_t shared, notify; /* [I] live as long as init, so that the console stays readable */
	/* of the running monitor: an event stays bound to the port of whom it served */
	handle_t event;
	struct vm_shared *view; /* [I] of shared: hostile */
	struct process process;
	bool running;
	bool ended; /* has run and ended, or could not be started */
	u32 generation;
	u32 reason, status;		    /* of its last end */
	u32 restarts, restarts_by[VM_ENDS]; /* in all; by each rule of its definition */
	struct ratelimit said;		    /* of the log, over all its lives */
	u64 start_ns;
	u64 restart_at; /* ns; 0 = none pending */
};

/* [I] immutable after start */
struct init {
	handle_t system, port, channel, wake; /* [I] */
	handle_t manager_port; /* [I] what manager waits at; bindings last, managers come and go */
	handle_t idle;	       /* [I] an event that nobody signals: for pauses */
	u64 boot_unix_s;       /* [I] wall time at ns 0 */
	struct init_options options;		     /* [I] */
	struct program vmm_program, manager_program; /* [I] */
	struct rt_mutex lock;
	struct vm *vm;	  /* [I] one for each definition, at most INIT_VMS */
	u32 vms;	  /* [I] */
	u64 last_end_ns;  /* when memory of any VM began to come back */
	u32 first_status; /* first status other than 0 that a VM ended with */
	struct process manager;
	u32 manager_restarts;
	u64 manager_start_ns;
	u64 manager_restart_at; /* ns; 0 = none pending */
};

/* ---- main.c ---- */
/* Nothing is wrong; what rt_log says is a warning. */
void init_log_info(const char *line);

/* ---- vms.c; init->lock held, except in vms_read ---- */
/* Reads every definition among the modules; a bad one is logged and kept as broken. */
void vms_read(struct init *in, const struct init_info *info);
/* A restart that is due and finds no memory stays due: it is tried again in a second. */
int vm_start(struct init *in, struct vm *vm);
/*
 * Its domain ended, or is to end: reason VM_REASON_NONE = take it from what the monitor left
 * behind.
 */
void vm_end(struct init *in, struct vm *vm, enum vm_reason reason);
int vm_destroy(struct init *in, struct vm *vm);
void vm_count_anew(struct vm *vm); /* its restarts */
/*
 * One of the group's properties, now and for later lives. -E_INVAL: out of range, or no VM can run
 * on these CPUs.
 */
int vm_schedule(struct init *in, struct vm *vm, enum thread_op op, u64 value);

/* ---- manager.c; init->lock held ---- */
void manager_start(struct init *in);
void manager_ended(struct init *in);

/* ---- service.c ---- */
void service_thread(void *arg); /* arg = struct init */

/* ---- finish.c ---- */
/*
 * The last VM ended: ends manager, prints the result and leaves the machine. init->lock held;
 * returns only if that fails.
 */
void finish_last_vm(struct init *in);
/* ACPI power-off. Returns a negative error when the machine is still there. */
int finish_poweroff(struct init *in);
