#include "kernel/main.h"

#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "drivers/platform/lapic.h"
#include "drivers/platform/pci.h"
#include "drivers/platform/screen.h"
#include "hv/vendor.h"
#include "hv/x86.h"
#include "kernel/cpu_setup.h"
#include "kernel/domain.h"
#include "kernel/log.h"
#include "kernel/panic.h"
#include "kernel/refuse.h"
#include "kernel/sched.h"
#include "kernel/smp.h"
#include "kernel/vcpu.h"
#include "mm/mm.h"

struct boot_options boot_options;
const char *no_vms_why;
const struct hv_ops *hv_ops;

static bool uart_routed; /* its interrupt comes to the boot CPU */

static void start_console(void)
{
	options_parse(bootinfo.cmdline, &boot_options);
	if (boot_options.serial)
		uart_init(&boot_options.uart);
	if (boot_options.vga)
		screen_init(&bootinfo.screen,
			    (void *)(SCREEN_BASE + bootinfo.screen.base.v % PAGE_2M));
	log_set_level(boot_options.loglevel);
	log_notice("Caisson, a hypervisor for x86-64; started by %s", bootinfo.loader);
}

static void start_cpu(void)
{
	char why[256];

	facts_read(&cpu_facts);
	cpu_facts.noapicv = boot_options.noapicv;
	cpu_facts.nounrestricted = boot_options.nounrestricted;
	cpu_facts.spec = spec_choose(&cpu_facts, (enum spec_option)boot_options.spec) |
			 (boot_options.coresched && cpu_facts.core_shift ? SPEC_CORES : 0);
	if (boot_refused(&bootinfo, &cpu_facts, boot_options.mem, why, sizeof(why)))
		panic_refuse(why);
	cpu_setup_registers();
	log_info("cpu: %s, signature %#x", cpu_facts.vendor, cpu_facts.signature);
}

static void start_memory(void)
{
	mm_init(&bootinfo, boot_options.mem);
	acpi_init(&bootinfo);
	frame_init(&bootinfo, &acpi_facts.numa);
}

static void start_platform(void)
{
	lapic_init_boot();
	lapic_init_cpu();
	uart_routed = ioapic_init(boot_options.uart.irq, VECTOR_UART, lapic_id());
	clock_init(bootinfo.entry_tsc, boot_options.tsc);
	lapic_timer_calibrate();
	pci_quiesce(bootinfo.screen.base);
}

static void start_kernel(void)
{
	struct thread *idle;

	domain_init();
	idle = thread_create_kernel(NULL); /* it stays on the stack of the start */
	ASSERT(idle);
	sched_init_cpu(this_cpu(), idle);
	kernel_kinfo->uapi_version = UAPI_VERSION;
}

static void start_virtualization(void)
{
	const struct hv_ops *ops = vendor_choose(&cpu_facts, &no_vms_why);

	if (ops && ops->cpu_enable(this_cpu())) {
		ops = NULL;
		no_vms_why =
			"the CPU's virtualization can't be switched on; the firmware may hold it locked";
	}
	if (!ops) {
		log_warn("virt: this machine cannot run VMs: %s", no_vms_why);
		return;
	}
	hv_ops = ops;
	vcpu_cpus = BIT(0);
	guest_bits = guest_bits_of(&cpu_facts);
}

static void start_cpus(void)
{
	smp_start(boot_options.maxcpus ? (u32)boot_options.maxcpus : MAX_CPUS);
	sched_order_cpus(&acpi_facts.numa);
	slow_start();
	kernel_kinfo->cpus = cpu_count;
	clock_tell(kernel_kinfo);
}

static void start_init(void)
{
	if (uart_routed)
		uart_irq_enable();
	else
		log_warn("uart: no I/O APIC routes interrupt %u: console input does not work",
			 boot_options.uart.irq);
	init_load(&bootinfo);
}

/* The start of the kernel, in order; nothing else runs by itself. */
static void (*const start_order[])(void) = {
	cpu_setup_boot, start_console,	      start_cpu,  start_memory, start_platform,
	start_kernel,	start_virtualization, start_cpus, reaper_start, start_init,
};

void kernel_main(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(start_order); i++)
		start_order[i]();
	sched_idle_loop();
}
