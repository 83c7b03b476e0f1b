// SOURCES: kernel/guest_walk.c kernel/exit_insn.c
// CFLAGS: -Wno-unused-function
/*
 * 64-bit code is found through the guest's page tables, and never through stale ones.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "hv/up.h"
#include "hv/vendor.h"
#include "kernel/vcpu_run.h"
#include "mm/window.h"

/* Guest memory: 64 pages from guest-physical 0, found at a different "host-physical" address. */
#define PAGES 64
#define HPA 0x100000000ull
static u8 memory[PAGES * PAGE_SIZE] __aligned(4096);
static u32 maps;

static u64 untouched = ~0ull; /* page that is populated on first touch */

bool aspace_lookup(struct aspace *as, u64 a, u32 prot, hpa_t *out)
{
	if (a >= sizeof(memory) || (a & ~0xfffull) == untouched)
		return false;
	*out = hpa(HPA + a);
	return true;
}

enum fault aspace_fault(struct aspace *as, u64 a, u32 pf_error)
{
	if (a >= sizeof(memory))
		return FAULT_NONE;
	untouched = ~0ull;
	return FAULT_MAPPED;
}

void *window_map(enum window w, hpa_t a)
{
	maps++;
	assert_in_range(a.v, HPA, HPA + sizeof(memory) - 1);
	return memory + (a.v - HPA);
}
void window_unmap(enum window w) {}

void log_line(enum log_level level, const char *fmt, ...) {}
enum vcpu_step vcpu_single_step(struct vcpu *v) { return STEP_CONTINUE; }
enum vcpu_step vcpu_fault(struct vcpu *v, u8 vector) { return STEP_CONTINUE; }

static struct hv_mode mode;
static u32 modes; /* how often it was asked for */
static void read_mode(struct vcpu *v, struct hv_mode *m)
{
	modes++;
	*m = mode;
}
static const struct hv_ops fake_ops = {.read_mode = read_mode};
const struct hv_ops *hv_ops = &fake_ops;

static struct vm vm;
static struct vcpu vcpu;
static struct vcpu_private private;

static int setup(void **state)
{
	memset(memory, 0x90, sizeof(memory));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&mode, 0, sizeof(mode));
	vm.space.epoch = 1;
	vcpu.vm = &vm;
	vcpu.priv = &private;
	guest_walk_reset(&vcpu);
	vcpu.exit.reason = HV_EXIT_CPUID;
	return 0;
}

static void put64(u64 a, u64 v) { memcpy(memory + a, &v, 8); }
static void code(u64 a, const char *bytes, u32 n) { memcpy(memory + a, bytes, n); }

static void clear(u64 page) { memset(memory + page, 0, PAGE_SIZE); }

/* Tables at 0x1000.. map linear 0xffff800000201000 and the page after it to `a` and `b`. */
#define LINEAR 0xffff800000201000ull
static void long_mode(u64 a, u64 b)
{
	mode = (struct hv_mode){.cr4 = CR4_PAE,
				.efer = EFER_LME | EFER_LMA,
				.cr3 = 0x1000,
				.cs_attr = SEG_ATTR_P | SEG_ATTR_L};
	for (u32 i = 1; i <= 4; i++)
		clear(i * PAGE_SIZE);
	put64(0x1000 + 256 * 8, 0x2003);
	put64(0x2000, 0x3003);
	put64(0x3000 + 1 * 8, 0x4003);
	put64(0x4000 + 1 * 8, a | 3);
	put64(0x4000 + 2 * 8, b | 3);
}

static u32 length_at(u64 rip)
{
	private.regs.rip = rip;
	const struct exit_insn *i;
	u32 n = vcpu_insn_length(&vcpu);

	i = n ? NULL : guest_decode(&vcpu);
	return i ? i->length : n;
}

static void long_mode_plain_and_prefixed(void **state)
{
	long_mode(0x8000, 0xa000);
	code(0x8010, "\x0f\xa2", 2);
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	code(0x8020, "\x66\x48\x0f\xa2", 4);
	assert_int_equal(length_at(LINEAR + 0x20), 4);
}

static void what_crosses_into_the_next_page_is_not_decoded(void **state)
{
	long_mode(0x8000, 0xa000);
	code(0x8ffe, "\x0f\xa2", 2);
	assert_int_equal(length_at(LINEAR + 0xffe), 2); /* ends at the page's end */
	code(0x8fff, "\x0f", 1);
	code(0xa000, "\xa2", 1);
	assert_int_equal(length_at(LINEAR + 0xfff), 0);
}

/* What a guest keeps in an entry that is not present names no frame. */
static void an_entry_that_is_not_present_is_none(void **state)
{
	for (u32 level = 0; level < 4; level++) {
		u64 entry[] = {0x1000 + 256 * 8, 0x2000, 0x3000 + 1 * 8, 0x4000 + 1 * 8}, v;

		long_mode(0x8000, 0xa000);
		code(0x8010, "\x0f\xa2", 2);
		assert_int_equal(length_at(LINEAR + 0x10), 2);
		memcpy(&v, memory + entry[level], 8);
		put64(entry[level], v & ~1ull);
		assert_int_equal(length_at(LINEAR + 0x10), 0);
	}
}

static void a_changed_table_is_noticed(void **state)
{
	long_mode(0x8000, 0xa000);
	code(0x8010, "\x0f\xa2", 2);
	code(0x9010, "\x48\x0f\xa2", 3);
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	put64(0x4000 + 8, 0x9000 | 3);
	assert_int_equal(length_at(LINEAR + 0x10), 3);
	put64(0x4000 + 8, 0x9000 | 3 | 0x60); /* accessed and dirty */
	maps = 0;
	assert_int_equal(length_at(LINEAR + 0x10), 3);
	put64(0x3000 + 8, 0);
	assert_int_equal(length_at(LINEAR + 0x10), 0);
}

static void a_hit_maps_nothing(void **state)
{
	long_mode(0x8000, 0xa000);
	code(0x8010, "\x0f\xa2", 2);
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	maps = 0;
	for (u32 i = 0; i < 10; i++)
		assert_int_equal(length_at(LINEAR + 0x10), 2);
	assert_int_equal(maps, 0);
}

/* Where the exit says that 64-bit code runs and with what CR3, nothing else is asked. */
static void a_decoded_instruction_is_good_for_its_page_and_bytes_only(void **state)
{
	long_mode(0x8000, 0xa000);
	code(0x8010, "\x66\x0f\xa2", 3);
	vcpu.exit.code_cr3 = 0x1000;
	assert_int_equal(length_at(LINEAR + 0x10), 3);
	modes = 0;
	assert_int_equal(length_at(LINEAR + 0x10), 3);
	assert_int_equal(modes, 0);
	code(0x8010, "\x66\x48\x0f\xa2", 4);
	assert_int_equal(length_at(LINEAR + 0x10), 4);
	put64(0x4000 + 8, 0x9000 | 3);
	code(0x9010, "\x0f\xa2", 2);
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	vcpu.walk.page = 0; /* an entry saw another epoch */
	modes = 0;
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	assert_int_equal(modes, 1);
	vcpu.exit.code_cr3 = ~0ull; /* another mode, another table, another page */
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	assert_int_equal(modes, 2);
	vcpu.exit.code_cr3 = 0x1000;
	code(0xa010, "\x48\x0f\xa2", 3);
	assert_int_equal(length_at(LINEAR + 0x1010), 3);
	assert_int_equal(modes, 3);
}

static void self_modified_code_is_seen(void **state)
{
	long_mode(0x8000, 0xa000);
	code(0x8010, "\x0f\xa2", 2);
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	code(0x8010, "\xf3\x0f\xa2", 3);
	assert_int_equal(length_at(LINEAR + 0x10), 3);
}

static void a_new_nested_epoch_walks_again(void **state)
{
	long_mode(0x8000, 0xa000);
	code(0x8010, "\x0f\xa2", 2);
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	vm.space.epoch++;
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	assert_int_equal(vcpu.walk.epoch, vm.space.epoch);
}

static void large_pages(void **state)
{
	long_mode(0x8000, 0xa000);
	put64(0x3000 + 1 * 8, 0x83); /* 2 MiB at 0 */
	code(0x1f010, "\x0f\xa2", 2);
	assert_int_equal(length_at(0xffff80000021f010), 2);
	put64(0x2000, 0x83); /* 1 GiB at 0 */
	code(0x1e010, "\x0f\xa2", 2);
	assert_int_equal(length_at(0xffff80000001e010), 2);
}

/* The monitor's: other code, whatever its tables, and what reaches into the next page. */
static void other_code_is_not_decoded(void **state)
{
	mode = (struct hv_mode){.cr4 = CR4_PAE, .cr3 = 0x1000, .cs_attr = SEG_ATTR_P};
	code(0x123, "\x0f\xa2", 2);
	assert_int_equal(length_at(0x123), 0);
	long_mode(0x8000, 0xa000);
	code(0x8010, "\x0f\xa2", 2);
	assert_int_equal(length_at(LINEAR + 0x10), 2);
	mode.cs_attr = SEG_ATTR_P | SEG_ATTR_DB; /* compatibility mode */
	assert_int_equal(length_at(LINEAR + 0x10), 0);
	mode.cs_attr = SEG_ATTR_P | SEG_ATTR_L;
	mode.efer = 0; /* PAE paging, and a bit that means nothing there */
	assert_int_equal(length_at(LINEAR + 0x10), 0);
}

static void outside_of_memory(void **state)
{
	long_mode(0x8000, 0xa000);
	mode.cr3 = 0x7fff000;
	assert_int_equal(length_at(LINEAR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(long_mode_plain_and_prefixed, setup),
		cmocka_unit_test_setup(what_crosses_into_the_next_page_is_not_decoded, setup),
		cmocka_unit_test_setup(an_entry_that_is_not_present_is_none, setup),
		cmocka_unit_test_setup(a_changed_table_is_noticed, setup),
		cmocka_unit_test_setup(a_hit_maps_nothing, setup),
		cmocka_unit_test_setup(a_decoded_instruction_is_good_for_its_page_and_bytes_only,
				       setup),
		cmocka_unit_test_setup(self_modified_code_is_seen, setup),
		cmocka_unit_test_setup(a_new_nested_epoch_walks_again, setup),
		cmocka_unit_test_setup(large_pages, setup),
		cmocka_unit_test_setup(other_code_is_not_decoded, setup),
		cmocka_unit_test_setup(outside_of_memory, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
