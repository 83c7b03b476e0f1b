/* Commands about the machine. */
#include "arch/cpuid.h"
#include "lib/fmt.h"
#include "lib/string.h"
#include "services/manager/manager.h"
#include "user/sys.h"
#include "user/tables.h"

#define LEVELS 5
#define LEVEL_ASK (~0ull)

/* What the CPU calls itself, or its vendor. */
static void cpu_model(char name[49])
{
	struct cpuid r = cpuid(0, 0);
	u32 vendor[] = {r.ebx, r.edx, r.ecx};

	memcpy(name, vendor, sizeof(vendor));
	for (u32 i = 0; i < 3 && cpuid(0x80000000, 0).eax >= 0x80000004; i++) {
		r = cpuid(0x80000002 + i, 0);
		memcpy(name + i * sizeof(r), &r, sizeof(r));
	}
}

/* How many CPUs share a core. Intel SDM 2, CPUID leaf 0xB; AMD APM 3, leaf 8000_001E. */
static u32 threads_per_core(void)
{
	struct cpuid topology = cpuid(0, 0).eax >= 0xb ? cpuid(0xb, 0) : (struct cpuid){0};

	if ((topology.ecx >> 8 & 0xff) == 1)
		return topology.ebx & 0xffff;
	return cpuid(0x80000000, 0).eax >= 0x8000001e ? 1 + (cpuid(0x8000001e, 0).ebx >> 8 & 0xff)
						      : 1;
}

static void print_threads(struct manager *m, u32 spec)
{
	u32 threads = threads_per_core();

	con_printf(m, "Threads a core: %u%s\n", threads,
		   spec & SPEC_CORES ? ", of one VM at a time"
		   : threads > 1     ? ", of any VMs (coresched=on keeps these apart)"
				     : "");
}

void cmd_hostinfo(struct manager *m, u32 words, const char *const *word)
{
	char model[49] = "";
	struct host_info h = {0};
	s64 e = sys_ctl(m->start.system, SYSOP_HOSTINFO, &h, sizeof(h));

	if (e < 0) {
		con_printf(m, "error: %s\n", rt_error(e));
		return;
	}
	cpu_model(model);
	con_printf(m, "CPU model:      %s\n", model);
	con_printf(m, "CPU(s):         %u of %u\n", h.cpus_up, h.cpus);
	print_threads(m, h.spec);
	con_printf(m, "TSC:            %lu.%03lu MHz\n", h.tsc_hz / 1000000,
		   h.tsc_hz / 1000 % 1000);
	con_printf(m, "Clock:          %.15s\n", h.clock);
	con_printf(m, "Memory:         %lu KiB\n", h.mem_total >> 10);
	con_printf(m, "Free memory:    %lu KiB\n", h.mem_free >> 10);
	con_printf(m, "Kernel memory:  %lu KiB\n", h.mem_kernel >> 10);
	con_printf(
		m,
		"Objects:        %u domains, %u threads, %u memory, %u events, %u ports, %u channels, %u VMs, %u vCPUs\n",
		h.objects[OBJ_DOMAIN], h.objects[OBJ_THREAD], h.objects[OBJ_MEM],
		h.objects[OBJ_EVENT], h.objects[OBJ_PORT], h.objects[OBJ_CHANNEL],
		h.objects[OBJ_VM], h.objects[OBJ_VCPU]);
	con_printf(m, "Virtualization: %.15s%s%.95s\n", h.virt, h.virt_reason[0] ? ": " : "",
		   h.virt_reason);
	if (h.virt_features[0])
		con_printf(m, "Features:       %.127s\n", h.virt_features);
	con_printf(m, "Speculation:   %s%s%s%s\n", h.spec & ~SPEC_CORES ? "" : " no defences",
		   h.spec & SPEC_IBPB ? " ibpb" : "", h.spec & SPEC_L1D ? " l1d-flush" : "",
		   h.spec & SPEC_BUFFERS ? h.spec_offered & SPEC_BUFFERS
						   ? " buffer-clear"
						   : " buffer-clear (not known to this CPU)"
					 : "");
	if (h.log_dropped)
		con_printf(m, "Log dropped:    %lu bytes not shown here; dmesg has them\n",
			   h.log_dropped);
	if (h.nmis)
		con_printf(m, "NMIs ignored:   %lu\n", h.nmis);
	if (h.slow_ops)
		con_printf(m, "Slow operations: %lu\n", h.slow_ops);
	con_printf(m, "Up for:         %lu s\n", rt_clock_ns() / 1000000000);
}

void cmd_dmesg(struct manager *m, u32 words, const char *const *word)
{
	char buf[1024], out[2 * sizeof(buf)];
	struct log_read r = {.buf = (u64)buf};

	for (;;) {
		size_t n = 0;
		s64 e;

		r.bytes = sizeof(buf);
		e = sys_ctl(m->start.system, SYSOP_LOG_READ, &r, sizeof(r));
		if (e < 0)
			con_printf(m, "error: %s\n", rt_error(e));
		if (e < 0 || !r.bytes || r.bytes > sizeof(buf))
			return;
		for (u32 i = 0; i < r.bytes; i++) {
			if (buf[i] == '\n')
				out[n++] = '\r';
			out[n++] = buf[i];
		}
		con_write(m, out, n);
	}
}

void cmd_loglevel(struct manager *m, u32 words, const char *const *word)
{
	u64 level = LEVEL_ASK;
	const char *end;
	s64 before;

	if (words > 1 && (!fmt_parse_u64(word[1], &end, &level) || *end || level >= LEVELS)) {
		con_printf(m, "error: loglevel %.16s: expected 0 to %u\n", word[1], LEVELS - 1);
		return;
	}
	before = sys_ctl(m->start.system, SYSOP_LOG_LEVEL, NULL, level);
	if (before < 0)
		con_printf(m, "error: %s\n", rt_error(before));
	else
		con_printf(m, "loglevel %ld\n", words > 1 ? (s64)level : before);
}

void cmd_selftest(struct manager *m, u32 words, const char *const *word)
{
	s64 bad = tables_check(m->start.system);

	if (bad < 0)
		con_printf(m, "error: %s\n", rt_error(bad));
	else
		con_printf(m, "selftest: live page tables: %ld violations: %s\n", bad,
			   bad ? "FAIL" : "PASS");
}

/* Does not come back when it works. */
static void leave(struct manager *m, enum init_call call)
{
	s64 e = init_call(m, call, 0);

	con_printf(m, "error: the machine is still there: %s\n", rt_error(e));
}

void cmd_reboot(struct manager *m, u32 words, const char *const *word) { leave(m, INIT_REBOOT); }

void cmd_poweroff(struct manager *m, u32 words, const char *const *word)
{
	leave(m, INIT_POWEROFF);
}
