// SOURCES: audit/audit.c audit/svm_audit.c audit/vmx_audit.c lib/guest_rules.c lib/fmt.c
/* The audit finds every state that VMRUN refuses, and names the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/event.h"
#include "audit/audit.h"
#include "hw/vmcb.h"

/* For a CPU with 16 ASIDs and addresses of 40 bits. */
static struct vcpu_record record(const struct vmcb *b)
{
	struct vcpu_record r = {
		.vendor = RECORD_SVM,
		.asids = 16,
		.phys_bits = 40,
		.may = {.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
			.cr4 = CR4_PAE | CR4_PSE | CR4_PGE | CR4_OSFXSR | CR4_PCIDE},
	};

	memcpy(r.word, b, sizeof(r.word));
	return r;
}

static const char *audit(const struct vmcb *b)
{
	struct vcpu_record r = record(b);

	return audit_record(&r);
}

static struct vmcb good(void)
{
	return (struct vmcb){
		.intercept[4] = 1,
		.asid = 1,
		.nested_ctl = NESTED_NP_ENABLE,
		.nested_cr3 = 0x5000,
		.msrpm_base = 0x10000,
		.iopm_base = 0x20000,
		.cr0 = CR0_PE | CR0_PG | CR0_ET,
		.cr4 = CR4_PAE,
		.cr3 = 0x7000,
		.efer = EFER_SVME | EFER_LME | EFER_LMA,
		.cs = {.attrib = 0x29b},
		.dr6 = 0xffff0ff0,
		.dr7 = 0x400,
	};
}

#define BAD(name, member, v)                                                                       \
	{                                                                                          \
		name, offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member), v         \
	}

static const struct {
	const char *field;
	u32 offset, bytes;
	u64 value;
} bad[] = {
	BAD("EFER", efer, EFER_LME | EFER_LMA),
	BAD("EFER", efer, EFER_SVME | EFER_LME),
	BAD("EFER", efer, EFER_SVME | EFER_LME | EFER_LMA | BIT(13)),
	BAD("EFER", efer, EFER_SVME | EFER_LMA),
	BAD("CR0", cr0, CR0_PE | CR0_PG | CR0_NW),
	BAD("CR0", cr0, CR0_PE | CR0_PG | 1ull << 32),
	BAD("CR0", cr0, CR0_PG),
	BAD("CR3", cr3, 1ull << 40),
	BAD("CR4", cr4, CR4_PAE | CR4_VMXE),
	BAD("CR4", cr4, CR4_PAE | 1ull << 33),
	BAD("CR4", cr4, 0),
	BAD("CS", cs.attrib, 0x69b),
	BAD("CPL", cpl, 4),
	BAD("DR6", dr6, 1ull << 32),
	BAD("DR7", dr7, 1ull << 63),
	BAD("EVENTINJ", event_inj, HV_EVENT_VALID | 1u << 8),
	BAD("EVENTINJ", event_inj, HV_EVENT_VALID | HV_EVENT_EXCEPTION | 2),
	BAD("EVENTINJ", event_inj, HV_EVENT_VALID | HV_EVENT_EXCEPTION | 32),
	BAD("EVENTINJ", event_inj, HV_EVENT_VALID | 1u << 12),
	BAD("intercepts", intercept[4], 0),
	BAD("ASID", asid, 0),
	BAD("ASID", asid, 16),
	BAD("MSRPM_BASE", msrpm_base, 0x10010),
	BAD("MSRPM_BASE", msrpm_base, (1ull << 40) - 0x1000),
	BAD("IOPM_BASE", iopm_base, (1ull << 40) - 0x2000),
	BAD("NP_ENABLE", nested_ctl, 0),
	BAD("N_CR3", nested_cr3, 1ull << 40),
};

static void good_state_passes(void **state)
{
	struct vmcb b = good();

	assert_null(audit(&b));
	b.cr0 = CR0_CD | CR0_NW | CR0_ET; /* reset */
	b.efer = EFER_SVME;
	b.cr4 = 0;
	assert_null(audit(&b));
	b.efer = EFER_SVME | EFER_LME; /* before paging */
	assert_null(audit(&b));
}

static void bad_state_names_its_field(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vmcb b = good();
		const char *got;

		memcpy((u8 *)&b + bad[i].offset, &bad[i].value, bad[i].bytes);
		got = audit(&b);
		if (!got || strncmp(got, bad[i].field, strlen(bad[i].field)) ||
		    got[strlen(bad[i].field)] != ':')
			fail_msg("case %u: expected %s, got %s", i, bad[i].field,
				 got ? got : "no complaint");
	}
}

static char said[64][200];
static u32 lines;

static void say(const char *line)
{
	assert_true(lines < ARRAY_SIZE(said));
	snprintf(said[lines++], sizeof(said[0]), "%s", line);
}

static void a_report_has_the_rule_and_the_block(void **state)
{
	struct vmcb b = good();
	struct vcpu_record r;

	b.cr3 = 1ull << 40;
	b.exit_code = ~0ull;
	b.rip = 0x1234567;
	r = record(&b);
	audit_report(&r, true, say);
	assert_string_equal(said[0],
			    "entry refused: CR3: a bit beyond the physical address width is set");
	assert_non_null(strstr(said[1], "EXITCODE 0xffffffffffffffff EXITINFO1 0 "));
	for (u32 i = 2; i < lines; i++)
		if (strstr(said[i], "svm: 560: ") && strstr(said[i], " 0000000001234567"))
			return;
	fail_msg("expected rip at 578h in %u lines", lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_state_passes),
		cmocka_unit_test(bad_state_names_its_field),
		cmocka_unit_test(a_report_has_the_rule_and_the_block),
	};

	return cmocka_run_group_tests_name("svm_audit", tests, NULL, NULL);
}
