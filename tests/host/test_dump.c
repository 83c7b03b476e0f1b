// SOURCES: vmm/dump.c lib/fmt.c
/* The register dump of a vCPU that can't go on: each register under its own name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/fmt.h"
#include "services/proto.h"
#include "vmm/dump.h"

static char text[8192];

void rt_log(const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	n += (size_t)fmt_vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	text[n] = '\n';
}

/* The number behind a name in the dump. */
static unsigned long long value_of(const char *name)
{
	char pattern[32];
	const char *at;

	snprintf(pattern, sizeof(pattern), " %-12s ", name);
	at = strstr(text, pattern);
	if (!at)
		fail_msg("%s is not in the dump", name);
	return strtoull(at + strlen(pattern), NULL, 16);
}

static void each_register_stands_behind_its_name(void **state)
{
	static struct vcpu_state s;

	for (u32 i = 0; i < GPRS; i++)
		s.gpr[i] = 0x100 + i;
	s.rip = 0x1234;
	s.cr0 = 0x80000011;
	s.efer = 0x500;
	s.dr7 = 0x400;
	s.msr.star = 0x77;
	s.msr.pat = 0x0007040600070406;
	s.seg[SEG_CS] = (struct seg_state){0x10, 0xa9b, 0xffffffff, 0x5000};
	dump_state(&s);
	assert_int_equal(value_of("rax"), 0x100);
	assert_int_equal(value_of("r15"), 0x10f);
	assert_int_equal(value_of("rip"), 0x1234);
	assert_int_equal(value_of("cr0"), 0x80000011);
	assert_int_equal(value_of("efer"), 0x500);
	assert_int_equal(value_of("dr7"), 0x400);
	assert_int_equal(value_of("star"), 0x77);
	assert_int_equal(value_of("pat"), 0x0007040600070406);
	assert_non_null(strstr(text, "cs   0010 attr a9b limit ffffffff base 0000000000005000"));
}

static void the_dump_fits_into_what_init_is_shown(void **state)
{
	assert_true(strlen(text) > 1000);
	assert_true(strlen(text) < sizeof(((struct vm_shared *)0)->log) - 512);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_register_stands_behind_its_name),
		cmocka_unit_test(the_dump_fits_into_what_init_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
