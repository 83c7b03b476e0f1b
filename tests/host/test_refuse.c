// SOURCES: kernel/refuse.c lib/ranges.c svm/svm_caps.c svm/svm_bitmap.c vmx/vmx_caps.c lib/fmt.c
// SOURCES: lib/str_copy.c
/*
 * Which machines Caisson starts on, and which of them can run VMs: made-up facts, the line
 * expected.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/vendor.h"
#include "kernel/refuse.h"
#include "mm/kmem.h"
#include "svm/svm.h"
#include "vmx/vmx.h"

struct cpu_facts cpu_facts;
const struct hv_ops svm_ops = {.name = "svm", .probe = svm_probe};
const struct hv_ops vmx_ops = {.name = "vmx", .probe = vmx_probe};

void log_line(enum log_level level, const char *fmt, ...) {}
struct quota *const kernel_quota = NULL;
void *kmem_alloc(struct quota *q, size_t size) { return calloc(1, size); }
void kmem_free(struct quota *q, void *p, size_t size) { free(p); }
hpa_t kva_to_hpa(const void *p) { return hpa((u64)p); }
hpa_t image_to_hpa(const void *p) { return hpa((u64)p); }

static struct bootinfo b;
static struct cpu_facts f;
static char why[256];

/* A machine with 64 MiB of RAM in two parts, a 4 MiB kernel and 6 MiB of modules: 54 MiB free. */
static void good_machine(void)
{
	b = (struct bootinfo){.kernel_start = hpa(MiB(2)), .kernel_bytes = MiB(4), .modules = 2};
	b.ram.count = 2;
	b.ram.r[0] = (struct range){MiB(1), MiB(33)};
	b.ram.r[1] = (struct range){GiB(4), GiB(4) + MiB(32)};
	b.module[0] = (struct boot_module){hpa(MiB(8)), MiB(4) - 5, "init"};
	b.module[1] = (struct boot_module){hpa(MiB(12)), MiB(2), "programs"};
	f = (struct cpu_facts){.nx = true, .syscall = true};
}

static void expect_start(u64 mem_limit)
{
	if (boot_refused(&b, &f, mem_limit, why, sizeof(why)) || why[0])
		fail_msg("expected to start, got a refusal: %s", why);
}

static void expect_refusal(u64 mem_limit, const char *found, const char *todo)
{
	if (!boot_refused(&b, &f, mem_limit, why, sizeof(why)))
		fail_msg("expected a refusal with '%s', got none", found);
	if (!strstr(why, found) || !strstr(why, todo))
		fail_msg("expected '%s' and '%s', got '%s'", found, todo, why);
}

static void a_good_machine_starts(void **state)
{
	good_machine();
	expect_start(0);
	expect_start(GiB(1));
}

static void what_the_loader_got_wrong_is_told_first(void **state)
{
	good_machine();
	strcpy(b.error, "multiboot2: the memory map names no usable memory");
	b.ram.count = b.modules = 0;
	f.nx = false;
	expect_refusal(0, "the memory map names no usable memory", "boot loader");
}

static void a_cpu_without_nx_or_syscall_is_refused(void **state)
{
	good_machine();
	f.nx = false;
	expect_refusal(0, "no-execute pages (NX)", "set-up");
	good_machine();
	f.syscall = false;
	expect_refusal(0, "SYSCALL", "needed");
}

static void each_module_that_the_start_needs_is_named(void **state)
{
	good_machine();
	b.modules = 0;
	expect_refusal(0, "of 0 boot modules none is named \"init\"", "module2 /boot/init init");
	good_machine();
	b.modules = 1;
	expect_refusal(0, "of 1 boot modules none is named \"programs\"", "module2");
	good_machine();
	strcpy(b.module[0].name, "initrd");
	expect_refusal(0, "of 2 boot modules none is named \"init\"", "module2");
	good_machine();
	strcpy(b.module[0].name, "programs");
	strcpy(b.module[1].name, "init");
	expect_start(0);
}

static void memory_is_counted_without_kernel_and_modules(void **state)
{
	good_machine();
	b.ram.r[1].end = GiB(4); /* an empty part, and 32 - 4 - 6 MiB in the first */
	expect_start(0);
	b.module[1].bytes = MiB(8); /* 16 MiB are left, exactly what is needed */
	expect_start(0);
	b.module[1].bytes++; /* it takes one page more */
	expect_refusal(0, "16380 KiB", "add memory");
	assert_null(strstr(why, "mem="));
	b.module[1].bytes = GiB(3); /* more than there is: not a negative size */
	expect_refusal(0, "0 KiB of", "needs 16384");
}

static void the_option_mem_counts_as_a_smaller_machine(void **state)
{
	good_machine();
	expect_start(MiB(26));
	expect_refusal(MiB(25), "15360 KiB", "boot option mem=");
}

static void what_is_missing_for_vms_is_named(void **state)
{
	static const struct {
		const char *expect; /* NULL: VMs can run */
		struct cpu_facts f;
	} cases[] = {
		{"neither VT-x nor AMD-V", {.vmx = false}},
		{NULL, {.svm = true, .svm_npt = true, .svm_asids = 16}},
		{"firmware",
		 {.svm = true, .svm_locked_off = true, .svm_npt = true, .svm_asids = 16}},
		{"nested paging", {.svm = true, .svm_asids = 16}},
		{"identifier", {.svm = true, .svm_npt = true, .svm_asids = 1}},
		{"VT-x is switched off by the firmware", {.vmx = true, .vmx_locked_off = true}},
		{"the CPU's VT-x lacks", {.vmx = true}},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *got;
		const struct hv_ops *ops = vendor_choose(&cases[i].f, &got);

		if (!got != !!ops || !got != !cases[i].expect ||
		    (got && !strstr(got, cases[i].expect)))
			fail_msg("case %u: expected %s, got %s", i, cases[i].expect, got);
		/* struct host_info's virt_reason */
		if (got && strlen(got) > 95)
			fail_msg("case %u: %zu characters: %s", i, strlen(got), got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_machine_starts),
		cmocka_unit_test(what_the_loader_got_wrong_is_told_first),
		cmocka_unit_test(a_cpu_without_nx_or_syscall_is_refused),
		cmocka_unit_test(each_module_that_the_start_needs_is_named),
		cmocka_unit_test(memory_is_counted_without_kernel_and_modules),
		cmocka_unit_test(the_option_mem_counts_as_a_smaller_machine),
		cmocka_unit_test(what_is_missing_for_vms_is_named),
	};

	return cmocka_run_group_tests_name("refuse", tests, NULL, NULL);
}
