// SOURCES: services/common/vmdef.c services/common/cap.c services/common/cpulist.c
// SOURCES: lib/fmt.c lib/str_copy.c
/*
 * VM definitions: what each key gives, the defaults, and the exact text for everything that does
 * not fit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mm/mem.h"
#include "services/common/cap.h"
#include "services/common/vmdef.h"

static_assert(VMDEF_MEMORY_MAX <= MEM_BYTES_MAX, "the kernel has objects as large");

static struct vm_def def;
static struct vmdef_lines lines;
static char error[192];

static bool parse_bytes(const char *text, size_t n)
{
	char *copy = malloc(n + 1); /* exactly n bytes, so that a read beyond is seen */
	bool ok;

	memcpy(copy, text, n);
	copy = realloc(copy, n ? n : 1);
	error[0] = 0;
	ok = vmdef_parse("web.vm", copy, n, &def, &lines, error, sizeof(error));
	free(copy);
	return ok;
}

static bool parse(const char *text) { return parse_bytes(text, strlen(text)); }

static void every_key(void **state)
{
	assert_true(parse("# a web server\n"
			  "name = web-1.x_Y\r\n"
			  "\tmemory=512M\n"
			  "maxvcpus = 8\n"
			  "vcpus = 2\n"
			  "kernel = @linux   # the kernel\n"
			  "initrd = @initrd\n"
			  "cmdline = console=ttyS0 root=/dev/ram#1 quiet\n"
			  "\n"
			  "autostart = off\n"
			  "console = attach\n"
			  "on_reboot = restart:3\n"
			  "on_exit = preserve\n"
			  "on_crash = restart\n"
			  "populate = yes\n"
			  "weight = 400\n"
			  "cap = 25%\n"
			  "cpus = 0-2,8"));
	assert_string_equal(error, "");
	assert_string_equal(def.name, "web-1.x_Y");
	assert_int_equal(def.memory, MiB(512));
	assert_int_equal(def.vcpus, 2);
	assert_int_equal(def.vcpus_max, 8);
	assert_string_equal(def.kernel, "linux");
	assert_string_equal(def.initrd, "initrd");
	assert_string_equal(def.cmdline, "console=ttyS0 root=/dev/ram#1 quiet");
	assert_false(def.autostart);
	assert_true(def.console_attach);
	assert_true(def.populate);
	assert_int_equal(def.at_end[VM_END_POWEROFF].act, ON_EXIT_PRESERVE);
	assert_int_equal(def.at_end[VM_END_REBOOT].act, ON_EXIT_RESTART);
	assert_int_equal(def.at_end[VM_END_REBOOT].restart_max, 3);
	assert_int_equal(def.at_end[VM_END_CRASH].act, ON_EXIT_RESTART);
	assert_int_equal(def.at_end[VM_END_CRASH].restart_max, 0);
	assert_int_equal(def.at_end[VM_END_OTHER].act, ON_EXIT_PRESERVE);
	assert_int_equal(lines.name, 2);
	assert_int_equal(lines.memory, 3);
	assert_int_equal(lines.maxvcpus, 4);
	assert_int_equal(lines.kernel, 6);
	assert_int_equal(lines.initrd, 7);
	assert_int_equal(def.weight, 400);
	assert_int_equal(def.cap, 25000ull << 32 | 100000);
	assert_int_equal(def.cpus, 0x107);
	assert_int_equal(lines.cpus, 18);
}

static void defaults(void **state)
{
	assert_true(parse("name = a\nkernel = @k\n"));
	assert_int_equal(def.memory, MiB(256));
	assert_int_equal(def.vcpus, 1);
	assert_int_equal(def.vcpus_max, 1);
	assert_int_equal(def.weight, 100);
	assert_int_equal(def.cap, 0);
	assert_int_equal(def.cpus, 0);
	assert_true(def.autostart);
	assert_false(def.console_attach);
	assert_false(def.populate);
	for (u32 i = 0; i < VM_ENDS; i++)
		assert_int_equal(def.at_end[i].act, ON_EXIT_DESTROY);
	assert_string_equal(def.initrd, "");
	assert_string_equal(def.cmdline, "");
	assert_int_equal(lines.memory, 0);
}

static void values(void **state)
{
	assert_true(parse("name=a\nkernel=@k\nmemory = 2G\non_exit = preserve\ncmdline =\n"));
	assert_int_equal(def.memory, GiB(2));
	assert_int_equal(def.at_end[VM_END_CRASH].act, ON_EXIT_PRESERVE);
	assert_string_equal(def.cmdline, "");
	assert_true(parse(
		"name=a\nkernel=@k\nmemory = 4096K\non_exit = restart\nautostart=no\npopulate=on\n"));
	assert_int_equal(def.memory, MiB(4));
	assert_int_equal(def.at_end[VM_END_POWEROFF].act, ON_EXIT_RESTART);
	assert_int_equal(def.at_end[VM_END_POWEROFF].restart_max, 0);
	assert_true(def.populate);
	assert_true(parse("name=a\nkernel=@k\nmemory = 512G\n"));
	assert_int_equal(def.memory, GiB(512));
	assert_true(parse("name=a\nkernel=@k\nvcpus = 4\n"));
	assert_int_equal(def.vcpus_max, 4);
}

static void cpus_that_do_not_fit(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"weight = 0\n",
		 "web.vm:1: weight = 0: expected a number from 1 to 10000; 100 is usual"},
		{"weight = 10001\n",
		 "web.vm:1: weight = 10001: expected a number from 1 to 10000; 100 is usual"},
		{"cap = 0%\n", "web.vm:1: cap = 0%: expected " CAP_EXPECTED},
		{"cpus = 3-1\n", "web.vm:1: cpus = 3-1: expected CPUs such as 0-3,8"},
		{"maxvcpus = 65\n",
		 "web.vm:1: maxvcpus = 65: expected a number of vCPUs from 1 to 64"},
		{"name = a\nmaxvcpus = 3\nvcpus = 4\nkernel = @k\n",
		 "web.vm:2: maxvcpus = 3: expected at least the 4 of vcpus"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_false(parse(cases[i].text));
		assert_string_equal(error, cases[i].error);
	}
}

struct bad {
	const char *text, *error;
};

static void all_bad(const struct bad *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_false(parse(cases[i].text));
		assert_string_equal(error, cases[i].error);
	}
}

static void names(void **state)
{
	static const struct bad cases[] = {
		{"name = a b\n",
		 "web.vm:1: name = a b: expected 1 to 31 of A-Z a-z 0-9 . _ -, no - first"},
		{"name = 12345678901234567890123456789012\n",
		 "web.vm:1: name = 12345678901234567890123456789012: expected 1 to 31 of A-Z a-z 0-9 . _ -, no - first"},
		{"name = ../x\n",
		 "web.vm:1: name = ../x: expected 1 to 31 of A-Z a-z 0-9 . _ -, no - first"},
		{"name = 7\n",
		 "web.vm:1: name = 7: expected a name that is no number, as an Id is"},
		{"name = 0x7\n",
		 "web.vm:1: name = 0x7: expected a name that is no number, as an Id is"},
		{"name = -1\n",
		 "web.vm:1: name = -1: expected 1 to 31 of A-Z a-z 0-9 . _ -, no - first"},
	};

	all_bad(cases, ARRAY_SIZE(cases));
}

static void errors(void **state)
{
	static const struct bad cases[] = {
		{"", "web.vm: no name: expected a line name = ..."},
		{"name = a\n", "web.vm: no kernel: expected a line kernel = ..."},
		{"\n\nmemory = 12Q\n", "web.vm:3: memory = 12Q: expected a size such as 256M"},
		{"memory = -1\n", "web.vm:1: memory = -1: expected a size such as 256M"},
		{"memory = 1M\n", "web.vm:1: memory = 1M: expected a size from 2M to 512G"},
		{"\nmemory = 514G\n", "web.vm:2: memory = 514G: expected a size from 2M to 512G"},
		{"memory = 99999G\n", "web.vm:1: memory = 99999G: expected a size from 2M to 512G"},
		{"memory = 99999999999999G\n",
		 "web.vm:1: memory = 99999999999999G: expected a size such as 256M"},
		{"memory = 3M\n", "web.vm:1: memory = 3M: expected a multiple of 2M"},
		{"name =\n", "web.vm:1: name = : expected a value"},
		{"vcpus = 65\n", "web.vm:1: vcpus = 65: expected a number of vCPUs from 1 to 64"},
		{"vcpus = 0\n", "web.vm:1: vcpus = 0: expected a number of vCPUs from 1 to 64"},
		{"vcpus = two\n", "web.vm:1: vcpus = two: expected a number of vCPUs from 1 to 64"},
		{"kernel = linux\n",
		 "web.vm:1: kernel = linux: expected the name of a boot module such as @linux"},
		{"initrd = @\n",
		 "web.vm:1: initrd = @: expected the name of a boot module such as @linux"},
		{"kernel = @a b\n",
		 "web.vm:1: kernel = @a b: expected the name of a boot module such as @linux"},
		{"autostart = maybe\n", "web.vm:1: autostart = maybe: expected yes or no"},
		{"populate = 1\n", "web.vm:1: populate = 1: expected yes or no"},
		{"console = com1\n", "web.vm:1: console = com1: expected attach or ring"},
		{"on_exit = halt\n",
		 "web.vm:1: on_exit = halt: expected destroy, restart, restart:N or preserve"},
		{"on_exit = restart:0\n",
		 "web.vm:1: on_exit = restart:0: expected destroy, restart, restart:N or preserve"},
		{"on_exit = restart:x\n",
		 "web.vm:1: on_exit = restart:x: expected destroy, restart, restart:N or preserve"},
		{"on_crash = restart:1000001\n", "web.vm:1: on_crash = restart:1000001: expected "
						 "destroy, restart, restart:N or preserve"},
		{"name = a\nname = b\n", "web.vm:2: name: given twice: expected it once"},
		{"hello\n", "web.vm:1: hello: expected key = value"},
		{"= 5\n", "web.vm:1: = 5: expected key = value"},
		{"disk = @d\n",
		 "web.vm:1: disk: unknown key: expected one of name memory vcpus maxvcpus weight cap cpus kernel initrd "
		 "cmdline autostart console on_exit on_poweroff on_reboot on_crash populate"},
		{"Name = a\n",
		 "web.vm:1: Name: unknown key: expected one of name memory vcpus maxvcpus weight cap cpus kernel initrd "
		 "cmdline autostart console on_exit on_poweroff on_reboot on_crash populate"},
		{"name = a\x01\n", "web.vm:1: byte 0x01: expected text"},
	};

	all_bad(cases, ARRAY_SIZE(cases));
	assert_false(parse_bytes("name\0= a", 8));
	assert_string_equal(error, "web.vm:1: byte 0x00: expected text");
}

static void limits(void **state)
{
	size_t n = KiB(64) + 1;
	char *text = malloc(n + 32);

	memset(text, '\n', n);
	assert_false(parse_bytes(text, n));
	assert_string_equal(error, "web.vm: 65537 bytes: expected a definition of at most 64 KiB");
	memset(text, 'x', 2000);
	assert_false(parse_bytes(text, 2000));
	assert_string_equal(error, "web.vm:1: line too long: expected at most 1279 characters");
	memcpy(text, "cmdline = ", 10);
	assert_false(parse_bytes(text, 10 + 1024));
	assert_string_equal(
		error, "web.vm:1: cmdline = xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: "
		       "expected at most 1023 characters");
	memcpy(text + 10 + 1023, "\nname=a\nkernel=@k\n", 18);
	assert_true(parse_bytes(text, 10 + 1023 + 18));
	assert_int_equal(strlen(def.cmdline), 1023);
	free(text);
}

/* Bytes at random: any answer will do, but the error must be terminated text. */
static void random_bytes(void **state)
{
	static const char alphabet[] =
		"name=memory kernel@#\n\t\r 0123456789KMGxcmdline_on-exit:restart\x80";
	u64 seed = 1;
	char text[200];

	for (u32 round = 0; round < 20000; round++) {
		size_t n = round % sizeof(text);

		for (size_t i = 0; i < n; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			text[i] = alphabet[(seed >> 40) % (sizeof(alphabet) - 1)];
		}
		if (!parse_bytes(text, n))
			assert_true(strnlen(error, sizeof(error)) > 0 &&
				    strnlen(error, sizeof(error)) < sizeof(error));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key), cmocka_unit_test(defaults),
		cmocka_unit_test(values),    cmocka_unit_test(errors),
		cmocka_unit_test(names),     cmocka_unit_test(cpus_that_do_not_fit),
		cmocka_unit_test(limits),    cmocka_unit_test(random_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
