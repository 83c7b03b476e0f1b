/*
 * The system-call interface: errors, handles, rights, call numbers and their structures.
 *
 * A call is made by SYSCALL with the number in rax and the arguments in rdi, rsi, rdx, r10, r8, r9.
 * rax returns a value >= 0 or a negative error; rcx and r11 are clobbered, nothing else changes.
 * docs/syscalls/ has a page per call.
 */
#pragma once

#include "lib/types.h"

#define UAPI_VERSION 4

enum uapi_error {
	E_OK = 0,
	E_NOMEM = 1,	/* quota or memory exhausted */
	E_INVAL = 2,	/* an argument is outside its range */
	E_HANDLE = 3,	/* no such handle */
	E_TYPE = 4,	/* the handle names an object of another type */
	E_RIGHTS = 5,	/* the handle lacks a right that the call needs */
	E_FAULT = 6,	/* a user pointer is not mapped as needed */
	E_BUSY = 7,	/* in use by another thread */
	E_NOENT = 8,	/* nothing there */
	E_EXIST = 9,	/* something is there already */
	E_NOSYS = 10,	/* no such call */
	E_DEAD = 11,	/* the object was destroyed */
	E_TIMEOUT = 12, /* the deadline passed */
	E_INTR = 13,	/* ended early by a kick or a stop */
	E_NODEV = 14,	/* the machine has no such thing */
	E_STATE = 16,	/* the object is not in a state that allows it */
	E_ERRORS
};

/* ---- Handles: index in the low half, generation in the high half; 0 names nothing. ---- */
typedef u32 handle_t;
#define HANDLE_NONE ((handle_t)0)
#define HANDLE_SELF ((handle_t)0xffffffff) /* the calling domain, where a domain is expected */

enum obj_type {
	OBJ_NONE,
	OBJ_DOMAIN,
	OBJ_THREAD,
	OBJ_MEM,
	OBJ_EVENT,
	OBJ_PORT,
	OBJ_CHANNEL,
	OBJ_VM,
	OBJ_VCPU,
	OBJ_SYSTEM,
	OBJ_TYPES,
	OBJ_ANY = OBJ_TYPES
};

enum rights {
	R_DUP = 1 << 0,	   /* may be duplicated, also into another domain */
	R_REVOKE = 1 << 1, /* may destroy the object */
	R_INFO = 1 << 2,   /* handle_info */
	R_READ = 1 << 3,   /* memory: map readable */
	R_WRITE = 1 << 4,  /* memory: map writable */
	R_EXEC = 1 << 5,   /* memory: map executable */
	R_SIGNAL = 1 << 6, /* event: signal, arm its timer */
	R_WAIT = 1 << 7,   /* event, port: wait; any bindable object: bind to a port */
	R_CALL = 1 << 8,   /* channel: call */
	R_SERVE = 1 << 9,  /* channel: reply and wait */
	/* domain: map, create threads, put handles; thread: set; vm: map, vCPUs, MSIs */
	R_MANAGE = 1 << 10,
	R_RUN = 1 << 11,     /* vCPU: run, get, set, kick */
	R_CONSOLE = 1 << 12, /* system: read and write the console */
	R_LOG = 1 << 13,     /* system: read the log, set its level, write to it */
	R_POWER = 1 << 14,   /* system: reboot, power off, debug exit */
	R_STAT = 1 << 15,    /* system: host information, checks */
	R_ALL = 0xffff
};

/*
 * ---- Calls: number, the kernel's function, type of the object that the first argument names
 * (OBJ_NONE: none that is looked up before), rights that its handle needs. The arguments are in
 * user/sys.h and on the pages. ----
 */
/* clang-format off */
#define SYS_CALL_ROWS(ROW) \
	ROW(SYS_HANDLE_DUP, sys_handle_dup, OBJ_NONE, 0) \
	ROW(SYS_HANDLE_CLOSE, sys_handle_close, OBJ_NONE, 0) \
	ROW(SYS_HANDLE_INFO, sys_handle_info, OBJ_ANY, R_INFO) \
	ROW(SYS_HANDLE_REVOKE, sys_handle_revoke, OBJ_ANY, R_REVOKE) \
	ROW(SYS_DOMAIN_CREATE, sys_domain_create, OBJ_NONE, 0) \
	ROW(SYS_DOMAIN_EXIT, sys_domain_exit, OBJ_NONE, 0) \
	ROW(SYS_THREAD_CREATE, sys_thread_create, OBJ_DOMAIN, R_MANAGE) \
	ROW(SYS_THREAD_SET, sys_thread_set, OBJ_THREAD, R_MANAGE) \
	ROW(SYS_MAP, sys_map, OBJ_NONE, 0) \
	ROW(SYS_UNMAP, sys_unmap, OBJ_NONE, 0) \
	ROW(SYS_MEM_CREATE, sys_mem_create, OBJ_NONE, 0) \
	ROW(SYS_EVENT_CREATE, sys_event_create, OBJ_NONE, 0) \
	ROW(SYS_EVENT_SIGNAL, sys_event_signal, OBJ_EVENT, R_SIGNAL) \
	ROW(SYS_EVENT_WAIT, sys_event_wait, OBJ_EVENT, R_WAIT) \
	ROW(SYS_PORT_CREATE, sys_port_create, OBJ_NONE, 0) \
	ROW(SYS_PORT_BIND, sys_port_bind, OBJ_PORT, R_MANAGE) \
	ROW(SYS_PORT_WAIT, sys_port_wait, OBJ_PORT, R_WAIT) \
	ROW(SYS_TIMER_SET, sys_timer_set, OBJ_EVENT, R_SIGNAL) \
	ROW(SYS_CLOCK_GET, sys_clock_get, OBJ_NONE, 0) \
	ROW(SYS_CHANNEL_CREATE, sys_channel_create, OBJ_NONE, 0) \
	ROW(SYS_CHANNEL_CALL, sys_channel_call, OBJ_CHANNEL, R_CALL) \
	ROW(SYS_CHANNEL_REPLY_WAIT, sys_channel_reply_wait, OBJ_CHANNEL, R_SERVE) \
	ROW(SYS_VM_CREATE, sys_vm_create, OBJ_NONE, 0) \
	ROW(SYS_VM_MSI, sys_vm_msi, OBJ_VM, R_MANAGE) \
	ROW(SYS_VM_IRQ_BIND, sys_vm_irq_bind, OBJ_VM, R_MANAGE) \
	ROW(SYS_VM_POLICY, sys_vm_policy, OBJ_VM, R_MANAGE) \
	ROW(SYS_VCPU_CREATE, sys_vcpu_create, OBJ_VM, R_MANAGE) \
	ROW(SYS_VCPU_RUN, sys_vcpu_run, OBJ_VCPU, R_RUN) \
	ROW(SYS_VCPU_KICK, sys_vcpu_kick, OBJ_VCPU, R_RUN) \
	ROW(SYS_VCPU_GET, sys_vcpu_get, OBJ_VCPU, R_RUN) \
	ROW(SYS_VCPU_SET, sys_vcpu_set, OBJ_VCPU, R_RUN) \
	ROW(SYS_CTL, sys_ctl, OBJ_SYSTEM, 0)

#define SYS_CALL_NUMBER(nr, fn, type, rights) nr,
enum sys_nr { SYS_CALL_ROWS(SYS_CALL_NUMBER) SYS_CALLS };
/* clang-format on */

#define DEADLINE_NEVER (~0ull)
#define DEADLINE_POLL 0ull

/* ---- Memory ---- */
enum prot { PROT_R = 1, PROT_W = 2, PROT_X = 4 }; /* W and X together are refused */

enum mem_flags {
	MEM_GUEST = 1, /* will be guest memory: 2 MiB frames preferred */
};

#define USER_VA_MIN 0x1000ull
#define USER_VA_MAX 0x00007ffffffff000ull /* exclusive */

/* ---- Threads ---- */
struct thread_args {
	u32 size;   /* sizeof this structure */
	u32 flags;  /* 0 */
	u64 entry;  /* first rip */
	u64 stack;  /* first rsp */
	u64 arg;    /* first rdi */
	u64 msg_va; /* where the message page is mapped; 0 = none, then no channel calls */
};

enum thread_op {
	THREAD_START,
	THREAD_STOP,
	THREAD_WEIGHT,	 /* 1..10000 among the threads of its group, default 100 */
	THREAD_AFFINITY, /* mask of CPUs 0..63; at least one must be up and the group's */
	/*
	 * Of the thread's group, by a thread of another one: a domain that init made, with all that
	 * it makes.
	 */
	THREAD_GROUP_WEIGHT, /* 1..10000 among the groups, default 100 */
	THREAD_GROUP_CPUS,   /* mask of CPUs; one that enters guests, if there is any */
	THREAD_GROUP_CAP,    /* run time << 32 | period in which it may be had, us; 0 = any */
};

#define MSG_WORDS 64
struct msg_page {
	u64 word[MSG_WORDS];
};

/* ---- Events and ports ---- */
#define EVENT_TIMER_BIT (1ull << 62) /* bit 63 is unused: event_wait returns the bits */
struct port_packet {
	u64 key;  /* given at port_bind */
	u64 bits; /* event: its bits, now cleared; domain: exit status; system: 1 = console input */
};

/* ---- VM ---- */
/* ---- handle_info ---- */
/* clang-format off */
/* rows of the exit statistics, also in `stat` */
enum exit_stat {
	STAT_EXTINT, STAT_NMI, STAT_EXCEPTION, STAT_CPUID, STAT_HLT, STAT_PAUSE, STAT_IO,
	STAT_MSR_READ, STAT_MSR_WRITE, STAT_CR, STAT_DR, STAT_XSETBV, STAT_HYPERCALL, STAT_MMIO,
	STAT_PAGE_POPULATE, STAT_APIC_MMIO, STAT_IRQ_WINDOW, STAT_SHUTDOWN, STAT_OTHER,
	STAT_USER, /* returns to the monitor */
	STAT_IRQ_INJECTED, STAT_ROWS
};
/* clang-format on */

#define DOMAIN_VCPUS 64

struct object_info { /* every type starts with this */
	u32 type;    /* enum obj_type */
	u32 rights;  /* of the handle */
};

struct domain_info {
	struct object_info base;
	char name[32];
	u64 quota_bytes, used_bytes;
	u64 table_bytes;     /* of used_bytes: page tables */
	u64 populated_bytes; /* frames that its memory objects hold */
	u64 cpu_ns;	     /* run time of its threads */
	u32 threads, vcpus;
	u32 dead, status;     /* after exit or destroy */
	u64 exits[STAT_ROWS]; /* of all its vCPUs */
	/* of each vCPU: run time of its thread, the CPU that it ran on last, */
	u64 vcpu_ns[DOMAIN_VCPUS];
	u8 vcpu_cpu[DOMAIN_VCPUS];
	u8 vcpu_state[DOMAIN_VCPUS]; /* 1 + enum vcpu_activity; 0: there is none */
};

/* ---- sys_ctl ---- */
enum sys_op {
	/*
	 * (char *, n) -> bytes taken, at most CONSOLE_CHUNK; never waits. Fewer than could be
	 * taken: there is no more room now.
	 */
	SYSOP_CONSOLE_WRITE,
	/* (char *, n) -> bytes; 0 = none. Bind the system handle to a port to wait. */
	SYSOP_CONSOLE_READ,
	SYSOP_LOG_WRITE, /* (char *, n <= 200) the digit of its level and a line */
	SYSOP_LOG_READ,	 /* (struct log_read *, size): the log ring from a position */
	SYSOP_LOG_LEVEL, /* (NULL, level 0..4; ~0 = only return it) -> level before */
	SYSOP_HOSTINFO,	 /* (struct host_info *, size) */
	SYSOP_REBOOT,
	/* (struct sys_power *, size): a register by which the machine is switched off */
	SYSOP_POWER,
	SYSOP_DEBUG_EXIT, /* (NULL, value): writes 32 bits to the port of exitport= */
	SYSOP_PAGE_CHECK, /* (struct page_check *, size) */
	SYSOP_ACPI_READ,  /* (struct acpi_read *, size): copies a firmware table out */
	SYSOP_NODEINFO,	  /* (struct node_info *, size) */
	SYSOP_CMOS_READ,  /* (NULL, register 0..127) -> its value */
	SYSOP_TRACE,	  /* (NULL, not 0): on, else off; uapi/trace.h */
	SYSOP_TRACE_READ, /* (struct trace_read *, size) */
	SYSOP_OPS
};

#define CONSOLE_CHUNK 256
enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

struct log_read {
	u64 pos;   /* in: first byte wanted (monotonic); out: position after the copied bytes */
	u32 bytes; /* in: room in buf; out: copied, at most CONSOLE_CHUNK */
	u32 reserved;
	u64 buf; /* user address */
};

enum power_reg {
	POWER_PM1A, /* PM1a and PM1b control, 16 bits */
	POWER_PM1B,
	POWER_SLEEP,	   /* sleep control, 8 bits: hardware-reduced ACPI has this instead */
	POWER_ACPI_ENABLE, /* written, the firmware hands over PM1; the value is the firmware's */
	POWER_REGS
};
struct sys_power {
	u32 reg;   /* enum power_reg */
	u32 write; /* 0: read, of PM1 only; the others read as 0 */
	u32 value; /* in or out */
	u32 reserved;
};

/* How the caller's tables map an address, user half or kernel half. */
struct page_check {
	u64 va;	   /* in */
	u64 bytes; /* out: of the page, or of the hole, around it */
	u32 prot;  /* out: enum prot; 0: it is not mapped */
	u32 user;  /* out: ring 3 may use it */
	u32 owner; /* out: enum frame_owner, of the 4 KiB frame at va */
};

struct acpi_read {
	char signature[4]; /* out */
	u32 index;	   /* in: of the table, from 0 on */
	u64 buf;	   /* user address */
	u32 offset;	   /* in: first byte wanted */
	u32 bytes;	   /* in: room in buf; out: copied, at most a page, 0 at the end */
};

/* Defences against speculation. */
enum spec_defence {
	SPEC_IBPB = 1,	  /* no branch predictions of one domain for another */
	SPEC_L1D = 2,	  /* the L1 data cache is emptied for a guest */
	SPEC_BUFFERS = 4, /* VERW clears the CPU's buffers on the way to ring 3 and to a guest */
	SPEC_CORES = 8,	  /* a core runs threads of one group at a time: the option coresched */
};

struct host_info {
	u32 cpus, cpus_up;
	u64 mem_total, mem_free, mem_kernel; /* bytes; kernel = heap, image, tables */
	u64 mem_heap_free;	/* of mem_kernel: pages of the heap that hold nothing */
	u32 objects[OBJ_TYPES]; /* that exist, by enum obj_type */
	u64 tsc_hz;
	/* bytes of log lines that the console's ring had no room for; dmesg has them */
	u64 log_dropped;
	u64 slow_ops; /* of all CPUs, counted by kernels built with BENCH_BUILD=1; else 0 */
	u64 nmis;     /* of all CPUs: those that nobody asked for */
	u32 spec, spec_offered; /* enum spec_defence: in use; what the CPU has */
	char virt[16];		/* "svm", "vmx", or "none" */
	char virt_reason[96];	/* why not, when "none" */
	char virt_features[128];
	char clock[16];
};

#define NODES_MAX 16
struct node_info {
	u32 node;   /* in: 0 to nodes - 1 */
	u32 domain; /* the firmware's number of it (proximity domain) */
	u32 nodes;  /* of the machine, 1 where the firmware names none */
	u32 reserved;
	u64 cpus;		 /* bit n: CPU n is at this node */
	u64 mem_total, mem_free; /* bytes of RAM */
	u8 distance[NODES_MAX];	 /* to each node; 10: to itself */
};

/* ---- Shared by kernel and every domain: read-only at this address ---- */
#define KINFO_VA 0x00007fffffffd000ull
struct kinfo {
	u32 uapi_version;
	u32 flags; /* KINFO_TSC */
	/*
	 * ns = ((tsc - tsc_base) * tsc_mult) >> 32, 128-bit product, when KINFO_TSC; else clock_get
	 */
	u64 tsc_base;
	u64 tsc_mult;
	u32 cpus;
};
#define KINFO_TSC 1u
