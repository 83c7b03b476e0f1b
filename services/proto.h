/*
 * What the ring-3 programs say to each other.
 *
 * init owns every domain and the table of VMs; manager is the console and may die and come back; a
 * vmm owns one VM. init and vmm share one memory object per VM (struct vm_shared), which manager
 * maps too. Each side treats what the other may write as hostile: copy, then check.
 */
#pragma once

#include "uapi/abi.h"

/* ---- VM definition, as parsed from the key = value file ---- */
#define VM_NAME_MAX 32
#define VM_CMDLINE_MAX 1024
#define VM_VCPUS_MAX 64u
enum vm_on_exit { ON_EXIT_DESTROY, ON_EXIT_RESTART, ON_EXIT_PRESERVE };
enum vm_end { VM_END_POWEROFF, VM_END_REBOOT, VM_END_CRASH, VM_END_OTHER, VM_ENDS };
struct vm_def {
	char name[VM_NAME_MAX];
	u64 memory;	      /* bytes, multiple of 2 MiB... see docs */
	u32 vcpus, vcpus_max; /* at the start; that the guest may have */
	u32 weight;	      /* the values of thread_set's group operations */
	u64 cap, cpus;	      /* cpus 0 = all but isolated ones */
	struct vm_at_end {
		u8 act;		 /* enum vm_on_exit */
		u8 key;		 /* whose rule it is: its own, or VM_END_OTHER's, on_exit */
		u32 restart_max; /* restart:N, of all ends by this rule; 0 = no limit */
	} at_end[VM_ENDS];
	bool autostart, populate, console_attach;
	char kernel[64], initrd[64]; /* module names without '@'; initrd may be empty */
	char cmdline[VM_CMDLINE_MAX];
};

/* ---- Shared between a vmm, init and manager ---- */
#define VM_RING_BYTES KiB(64)
#define VM_INPUT_BYTES 4096u

enum vm_state {
	VM_STATE_STARTING,
	VM_STATE_RUNNING,
	VM_STATE_SHUTDOWN, /* ended; see reason, status */
	VM_STATE_PAUSED,   /* no vCPU runs, and its clock stands */
};

enum vm_reason {
	VM_REASON_NONE,
	VM_REASON_EXIT_PORT, /* the guest wrote `status` to port 0xf4 */
	VM_REASON_POWEROFF,  /* ACPI S5: status 0 */
	VM_REASON_RESET,     /* 0xcf9, 0x64: see VM_STATUS_RESET */
	VM_REASON_TRIPLE_FAULT,
	VM_REASON_INTERNAL, /* the monitor or kernel could not go on; the log says why */
	VM_REASON_LOAD,	    /* the guest image was refused; the log says why */
	VM_REASON_MONITOR_DIED,
	VM_REASON_DESTROYED, /* by the user */
	VM_REASONS
};

/* A VM's status when the guest gave none (documented in README). */
enum vm_status {
	VM_STATUS_OK = 0,
	VM_STATUS_RESET = 120,
	VM_STATUS_TRIPLE_FAULT = 121,
	VM_STATUS_INTERNAL = 122,
	VM_STATUS_LOAD = 123,
	VM_STATUS_MONITOR_DIED = 124,
	VM_STATUS_DESTROYED = 125,
};

/* event manager/init -> vmm */
enum vm_event_bits {
	VM_EV_INPUT = 1,    /* bytes in the input ring, or room in the output ring */
	VM_EV_SHUTDOWN = 2, /* press the ACPI power button */
	VM_EV_PIN = 4,	    /* pin[] has changed */
	VM_EV_PAUSE = 8,    /* suspend has changed */
	VM_EV_VCPUS = 16,   /* so many CPUs as vcpus_wanted says */
};
/* event vmm -> manager */
enum vm_notify_bits {
	VM_NOTIFY_OUTPUT = 1,
	VM_NOTIFY_STATE = 2,
};

/* Positions count bytes since the start, modulo 2^64; index = position % size. One writer each. */
struct vm_shared {
	u32 version;
	u32 state, reason, status; /* vmm writes */
	u64 entered_ns; /* vmm: clock_read before the guest's first instruction; 0 = not yet */
	u64 out_head;	/* vmm: bytes written to COM1 so far; the last VM_RING_BYTES are in out[] */
	u64 out_tail;	/* manager: bytes shown so far, when attached */
	u32 attached;	/* manager: 1 = the UART waits for room instead of overwriting */
	u32 suspend;	/* manager: 1 = the VM shall stand still */
	u64 pin[VM_VCPUS_MAX];	  /* manager: CPUs that each vCPU shall use, 0 = any */
	u64 pinned[VM_VCPUS_MAX]; /* vmm: that it uses, 0 = any of the VM's */
	/* vmm: a bit for each vCPU that the guest has; init: 0 = as the definition says */
	u64 vcpus;
	u32 vcpus_wanted;  /* manager */
	u32 vcpus_refused; /* vmm: why the guest keeps one (_OST); manager clears it */
	u64 in_head;	   /* manager */
	u64 in_tail;	   /* vmm */
	char log[7168];	   /* vmm: its last error lines, NUL-terminated, written before state */
	u8 in[VM_INPUT_BYTES];
	u8 out[VM_RING_BYTES];
};

/* ---- Start blocks: rdi of program_main points to them, mapped read-only ---- */
#define START_VA 0x00007ffffd000000ull

struct vmm_start {
	u32 size;
	handle_t shared_mem; /* struct vm_shared, R+W */
	u64 shared_bytes;
	handle_t event;			 /* init, manager -> vmm: R_WAIT */
	handle_t notify;		 /* vmm -> manager: R_SIGNAL */
	handle_t kernel_mem, initrd_mem; /* read-only; HANDLE_NONE = none */
	handle_t thread;		 /* the main one: R_MANAGE */
	u64 kernel_size, initrd_size;
	u64 boot_unix_s; /* wall time at ns 0 */
	struct vm_def def;
};

/* Keys of manager's port: index of a VM (its vmm's notification, enum vm_notify_bits), or: */
#define MANAGER_KEY_CONSOLE 0x1000ull /* console input, or room for output */
#define MANAGER_RESUME_NONE (~0u)
struct manager_start {
	u32 size;
	handle_t system; /* R_CONSOLE | R_LOG | R_STAT */
	handle_t init;	 /* channel, R_CALL */
	handle_t port;	 /* R_WAIT; made and bound by init, so that it outlives manager */
	u32 restarts;	 /* how often manager was started before */
	u32 resume; /* VM that the manager before was attached to; MANAGER_RESUME_NONE = none */
	bool quit_on_last; /* exit=last-vm: manager is told for its banner only */
};

/* ---- Calls of manager to init: word 0 = enum init_call; the reply's word 0 = 0 or -error ---- */
/* clang-format off */
enum init_call {
	INIT_VM_INFO,	 /* (index) -> struct init_vm_info */
	INIT_VM_START,	 /* (index) */
	INIT_VM_DESTROY, /* (index) */
	/*
	 * (index) -> handles in manager's table: shared memory, event, domain (info only); while
	 * the VM does not run the last two are HANDLE_NONE. To be closed when `generation` changes.
	 */
	INIT_VM_ATTACH,
	/* (index, enum thread_op of the group, value): for this life and later ones */
	INIT_VM_SCHED,
	INIT_POWEROFF,
	INIT_REBOOT,
	INIT_CALLS
};
/* clang-format on */

#define VM_ERROR_MAX 192

struct init_vm_info { /* fits in 63 words */
	char name[VM_NAME_MAX];
	u64 memory;
	u32 vcpus, vcpus_max;
	u32 present;	    /* 0 = index beyond the last VM */
	u32 running;	    /* has a domain */
	u32 generation;	    /* raised at every start: attached handles of an older one are stale */
	u32 reason, status; /* of its last end, also while it runs again */
	u32 autostart, console_attach, restarts;
	u8 on_exit[VM_ENDS]; /* enum vm_on_exit */
	u32 weight;
	u64 cap, cpus; /* as in struct vm_def */
	u64 start_ns;
	char error[VM_ERROR_MAX]; /* why it can't start */
};
