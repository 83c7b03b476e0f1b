/* The PC that a VM is: its devices, on their buses, behind their interrupt lines. */
#pragma once

#include "uapi/run.h"
#include "vmm/acpi_pm.h"
#include "vmm/bus.h"
#include "vmm/console.h"
#include "vmm/cpu_hotplug.h"
#include "vmm/cpus.h"
#include "vmm/exit_port.h"
#include "vmm/fw_cfg.h"
#include "vmm/irq.h"
#include "vmm/pause.h"
#include "vmm/pci.h"
#include "vmm/pit.h"
#include "vmm/pvclock.h"
#include "vmm/ram.h"
#include "vmm/reset_port.h"
#include "vmm/rtc.h"
#include "vmm/timer.h"
#include "vmm/uart.h"
#include "vmm/vm_clock.h"

/*
 * [I] immutable once the first vCPU runs, [a] atomic, [r] under arm_lock, others: their own lock.
 */
struct machine {
	struct platform plat;
	handle_t vm;	      /* [I] */
	handle_t timer_event; /* [I] its kernel timer wakes the event thread */
	struct ram ram;	      /* [I] */
	struct vm_clock clock;
	struct pvclock pvclock; /* [I] */
	u64 xcr0;		/* [I] what CPUID offers */
	u16 vcpus;		/* [I] that are prepared */
	struct bus ports, mmio;
	struct rt_mutex bus_lock; /* above every device's: one locked instruction at a time */

	struct timers timers;
	struct rt_mutex arm_lock; /* below every device's, above the timer list's */
	u64 armed;		  /* [r] what the kernel timer is set to (VM clock) */

	u32 ending; /* [a] somebody has set reason and status, or is about to */
	u32 ended;  /* [a] reason and status are valid; vCPU threads leave their loops */
	enum vm_reason reason;
	u32 status;
	handle_t vcpu[VM_VCPUS_MAX]; /* [I] to kick when the VM ends; of the first vcpus */
	u32 has_flat_table;	     /* [a] flat.h */
	struct pause pause;
	u64 msr_logged[4]; /* [a] hashed: MSRs whose refusal was logged */

	struct cpus cpus;

	struct irq irq;
	struct pit pit;
	struct rtc rtc;
	struct console console;
	struct uart com1;
	struct acpi_pm acpi_pm;
	struct cpu_hotplug cpu_hotplug;
	struct pci pci;
	struct exit_port exit_port;
	struct reset_port reset_port;
	struct fw_cfg fw_cfg;
};

/*
 * Builds the devices; unix_s: wall time when the host's clock was 0; the guest begins with the
 * first `boot_cpus`. m is zeroed but for vm, timer_event, ram, vcpus and console. 0 or a negative
 * error.
 */
int machine_init(struct machine *m, u64 unix_s, u32 boot_cpus);

/* Ends the VM; the first call decides. The vCPUs leave the guest after their present exit. */
void machine_end(struct machine *m, enum vm_reason reason, u32 status);
static inline bool machine_ended(const struct machine *m)
{
	return __atomic_load_n(&m->ended, __ATOMIC_ACQUIRE);
}

/* The event thread's part: runs what is due and sets the kernel timer for the next. */
void machine_run_timers(struct machine *m);
