// SOURCES: audit/audit.c audit/svm_audit.c audit/vmx_audit.c lib/guest_rules.c lib/fmt.c
/* The audit finds every state that VM entry refuses, and names the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/event.h"
#include "audit/audit.h"
#include "audit/vmcs_fields.h"

/* A CPU with addresses of 39 bits. */
static struct vcpu_record record(const struct vmcs_guest_fields *g)
{
	struct vcpu_record r = {
		.vendor = RECORD_VMX,
		.phys_bits = 39,
		.fixed = {0x80000021, 0xffffffff, 0x2000, 0x3727ff},
		.may = {.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
			.cr4 = CR4_PAE | CR4_PSE | CR4_PGE | CR4_OSFXSR | CR4_PCIDE},
	};

#define PUT(name, number) r.word[VMCS_WORD(number)] = g->name;
	RECORD_FIELDS(PUT)
	return r;
}

static const char *audit(const struct vmcs_guest_fields *g)
{
	struct vcpu_record r = record(g);

	return audit_record(&r);
}

enum { DATA = 0xc093, TSS = 0x8b, UNUSABLE = VMCS_ATTR_UNUSABLE };

#define FLAT(seg, a) .GUEST_##seg##_LIMIT = 0xffffffff, .GUEST_##seg##_ATTR = (a)
#define NOT_IN_SEGMENTS                                                                            \
	.EPT_POINTER = 0x5000 | EPTP_WRITE_BACK | EPTP_4_LEVELS, .LINK_POINTER = ~0ull,            \
	.GUEST_DR7 = 0x400, .PROC2_CONTROLS = PROC2_VPID, .VPID = 1, .GUEST_LDTR_ATTR = UNUSABLE,  \
	.GUEST_TR_LIMIT = 0x67, .GUEST_RFLAGS = RFLAGS_FIXED

static const struct vmcs_guest_fields long_mode = {
	NOT_IN_SEGMENTS,
	.ENTRY_CONTROLS = ENTRY_LONG_MODE,
	.CR0_SHADOW = CR0_PE,
	.GUEST_CR0 = CR0_PE | CR0_NE | CR0_PG,
	.GUEST_CR4 = CR4_PAE | CR4_VMXE,
	.GUEST_EFER = EFER_LME | EFER_LMA,
	.GUEST_CR3 = 0x7000,
	FLAT(CS, 0xa09b),
	FLAT(SS, DATA),
	FLAT(DS, DATA),
	FLAT(ES, UNUSABLE),
	FLAT(FS, UNUSABLE),
	FLAT(GS, UNUSABLE),
	.GUEST_TR_ATTR = TSS,
	.GUEST_RIP = 0xffffffff80000000,
	.GUEST_GS_BASE = 0xffff888000000000,
};

#define REAL(seg) .GUEST_##seg##_LIMIT = 0xffff, .GUEST_##seg##_ATTR = 0x93
static const struct vmcs_guest_fields real_mode = {
	NOT_IN_SEGMENTS,
	.GUEST_CR0 = CR0_NE | CR0_CD | CR0_NW,
	.GUEST_CR4 = CR4_VMXE,
	.GUEST_CS_SELECTOR = 0xf000,
	.GUEST_CS_BASE = 0xffff0000,
	.GUEST_CS_LIMIT = 0xffff,
	.GUEST_CS_ATTR = 0x9b,
	REAL(SS),
	REAL(DS),
	REAL(ES),
	REAL(FS),
	REAL(GS),
	.GUEST_TR_ATTR = TSS,
	.GUEST_RIP = 0xfff0,
};

/* 32-bit PAE paging, ring 3 */
static const struct vmcs_guest_fields user_32 = {
	NOT_IN_SEGMENTS,
	.CR0_SHADOW = CR0_PE,
	.GUEST_CR0 = CR0_PE | CR0_NE | CR0_PG,
	.GUEST_CR4 = CR4_PAE | CR4_VMXE,
	FLAT(CS, 0xc0fb),
	FLAT(SS, 0xc0f3),
	FLAT(DS, 0xc0f3),
	FLAT(ES, 0xc0f3),
	FLAT(FS, UNUSABLE),
	FLAT(GS, UNUSABLE),
	.GUEST_TR_ATTR = TSS,
	.GUEST_PDPTE0 = 0x8001,
	.GUEST_PDPTE1 = 0x1e6, /* not present: the rest does not matter */
};

#define V86(seg)                                                                                   \
	.GUEST_##seg##_SELECTOR = 0x1234, .GUEST_##seg##_BASE = 0x12340,                           \
	.GUEST_##seg##_LIMIT = 0xffff, .GUEST_##seg##_ATTR = 0xf3
static const struct vmcs_guest_fields v86 = {
	NOT_IN_SEGMENTS | RFLAGS_VM,
	.CR0_SHADOW = CR0_PE,
	.GUEST_CR0 = CR0_PE | CR0_NE,
	.GUEST_CR4 = CR4_VMXE,
	V86(CS),
	V86(SS),
	V86(DS),
	V86(ES),
	V86(FS),
	V86(GS),
	.GUEST_TR_ATTR = TSS,
};

#define AT(name) offsetof(struct vmcs_guest_fields, name)
#define BAD2(base, name, value, also, also_value)                                                  \
	{                                                                                          \
		&base, #name, AT(name), value, AT(also), also_value                                \
	}
#define BAD(base, name, value) BAD2(base, name, value, name, value)

static const struct {
	const struct vmcs_guest_fields *base;
	const char *field;
	size_t offset;
	u64 value;
	size_t also; /* a second change, that alone would be good */
	u64 also_value;
} bad[] = {
	BAD(long_mode, GUEST_CR0, CR0_PE | CR0_PG),
	BAD(long_mode, GUEST_CR0, CR0_PE | CR0_NE | CR0_PG | 1ull << 32),
	BAD(long_mode, GUEST_CR0, CR0_NE | CR0_PG),
	BAD2(long_mode, GUEST_CR0, CR0_PE | CR0_NE, GUEST_EFER, EFER_LME),
	BAD(long_mode, GUEST_CR4, CR4_PAE),
	BAD(long_mode, GUEST_CR4, CR4_VMXE),
	BAD(long_mode, GUEST_CR4, CR4_PAE | CR4_VMXE | BIT(22)),
	BAD(user_32, GUEST_CR4, CR4_PAE | CR4_VMXE | CR4_PCIDE),
	BAD(user_32, GUEST_EFER, EFER_LMA),
	BAD(real_mode, GUEST_EFER, 1ull << 9),
	BAD(user_32, GUEST_EFER, EFER_LME | EFER_LMA),
	BAD(long_mode, GUEST_CR3, 1ull << 39),
	BAD(long_mode, GUEST_DR7, 1ull << 32),
	BAD(long_mode, GUEST_DEBUGCTL, 1u << 2),
	BAD(long_mode, GUEST_SYSENTER_ESP, 1ull << 47),
	BAD(long_mode, GUEST_SYSENTER_EIP, 1ull << 63),
	BAD(long_mode, GUEST_PAT, 8),
	BAD(long_mode, GUEST_GDTR_BASE, 1ull << 48),
	BAD(long_mode, GUEST_IDTR_BASE, 1ull << 48),
	BAD(long_mode, GUEST_GDTR_LIMIT, 0x10000),
	BAD(long_mode, GUEST_IDTR_LIMIT, 0x10000),

	BAD(long_mode, GUEST_TR_SELECTOR, 4),
	BAD2(long_mode, GUEST_LDTR_SELECTOR, 4, GUEST_LDTR_ATTR, 0x82),
	BAD(long_mode, GUEST_CS_BASE, 1ull << 32),
	BAD(long_mode, GUEST_DS_BASE, 1ull << 32),
	BAD(long_mode, GUEST_FS_BASE, 1ull << 47),
	BAD(long_mode, GUEST_TR_BASE, 1ull << 47),
	BAD(v86, GUEST_ES_BASE, 0x12350),
	BAD(v86, GUEST_SS_LIMIT, 0xfffff),
	BAD(v86, GUEST_CS_ATTR, 0xfb),
	BAD(long_mode, GUEST_CS_ATTR, 0xa098), /* not accessed */
	BAD(long_mode, GUEST_CS_ATTR, 0xa091), /* read-only data */
	BAD(long_mode, GUEST_SS_ATTR, 0xc09b), /* code */
	BAD(long_mode, GUEST_DS_ATTR, 0xc099), /* code that can't be read */
	BAD(long_mode, GUEST_DS_ATTR, 0xc092), /* not accessed */
	BAD(long_mode, GUEST_TR_ATTR, 0x83),   /* of 16 bits */
	BAD(user_32, GUEST_TR_ATTR, 0x89),     /* not busy */
	BAD(user_32, GUEST_LDTR_ATTR, 0x83),   /* no LDT */
	BAD(long_mode, GUEST_CS_ATTR, 0xa08b), /* S clear */
	BAD(long_mode, GUEST_TR_ATTR, 0x9b),   /* S set */
	BAD(long_mode, GUEST_CS_ATTR, 0xa0fb), /* DPL is not that of SS */
	BAD(long_mode, GUEST_CS_ATTR, 0xa0bf), /* conforming, above that of SS */
	BAD(real_mode, GUEST_CS_ATTR, 0xb3),   /* data, not ring 0 */
	BAD2(real_mode, GUEST_SS_ATTR, 0xf3, GUEST_CS_ATTR, 0xfb),
	BAD2(long_mode, GUEST_SS_ATTR, UNUSABLE | 3 << 5, GUEST_CS_ATTR, 0xa093),
	BAD(long_mode, GUEST_CS_ATTR, 0xa01b), /* not present */
	BAD(long_mode, GUEST_DS_ATTR, DATA | 1u << 8),
	BAD(long_mode, GUEST_DS_ATTR, DATA | 1u << 17),
	BAD(long_mode, GUEST_TR_ATTR, TSS | UNUSABLE),
	BAD(long_mode, GUEST_CS_ATTR, 0xe09b),	    /* L and D */
	BAD(long_mode, GUEST_CS_LIMIT, 0xfffff000), /* G set */
	BAD(long_mode, GUEST_TR_LIMIT, 0x100000),   /* G clear */

	BAD(long_mode, GUEST_RIP, 1ull << 47),
	BAD(user_32, GUEST_RIP, 1ull << 32),
	BAD(long_mode, GUEST_RFLAGS, 0),
	BAD(long_mode, GUEST_RFLAGS, RFLAGS_FIXED | 1u << 15),
	BAD(long_mode, GUEST_RFLAGS, RFLAGS_FIXED | 1ull << 22),
	BAD2(real_mode, GUEST_RFLAGS, RFLAGS_FIXED, ENTRY_INTR_INFO, HV_EVENT_VALID | 0x20),
	BAD(long_mode, GUEST_ACTIVITY, 4),
	BAD(user_32, GUEST_ACTIVITY, 1),
	BAD2(long_mode, GUEST_ACTIVITY, 2, GUEST_BLOCKING, BLOCKED_MOV_SS),
	BAD(long_mode, GUEST_BLOCKING, 1u << 5),
	BAD2(long_mode, GUEST_BLOCKING, BLOCKED_STI | BLOCKED_MOV_SS, GUEST_RFLAGS,
	     RFLAGS_FIXED | RFLAGS_IF),
	BAD(long_mode, GUEST_BLOCKING, BLOCKED_STI),
	BAD2(long_mode, GUEST_BLOCKING, BLOCKED_NMI, ENTRY_INTR_INFO,
	     HV_EVENT_VALID | HV_EVENT_NMI),
	BAD2(long_mode, GUEST_BLOCKING, BLOCKED_MOV_SS, ENTRY_INTR_INFO,
	     HV_EVENT_VALID | HV_EVENT_NMI),
	BAD(long_mode, GUEST_PENDING_DEBUG, 1u << 4),
	BAD2(long_mode, GUEST_PENDING_DEBUG, PENDING_DEBUG_BS, GUEST_BLOCKING, BLOCKED_MOV_SS),
	BAD(long_mode, ENTRY_INTR_INFO, HV_EVENT_VALID | 1u << 8),

	BAD(user_32, GUEST_PDPTE0, 0x8003),
	BAD(user_32, GUEST_PDPTE3, 1 | 1ull << 39),
	BAD(long_mode, EPT_POINTER, 0x5000 | EPTP_4_LEVELS),
	BAD(long_mode, EPT_POINTER, 0x5000 | EPTP_WRITE_BACK),
	BAD(long_mode, EPT_POINTER, 1ull << 39 | EPTP_WRITE_BACK | EPTP_4_LEVELS),
	BAD(long_mode, VPID, 0),
	BAD(long_mode, MSR_BITMAP, 0x5010),
	BAD(long_mode, VIRTUAL_APIC_PAGE, 1ull << 39),
	BAD(long_mode, LINK_POINTER, 0),
};

/* What a CPU without "unrestricted guest" is never given. */
static void an_emulated_state_is_not_judged(void **state)
{
	struct vmcs_guest_fields g = real_mode;

	g.GUEST_CR0 |= CR0_PE | CR0_PG;
	g.GUEST_CS_ATTR = 0;
	assert_null(audit(&g));
	g.CR0_SHADOW = CR0_PE;
	assert_non_null(audit(&g));
}

static void good_states_pass(void **state)
{
	const struct vmcs_guest_fields *good[] = {&long_mode, &real_mode, &user_32, &v86};

	for (u32 i = 0; i < ARRAY_SIZE(good); i++) {
		const char *got = audit(good[i]);

		if (got)
			fail_msg("state %u: expected no complaint, got %s", i, got);
	}
}

static void changes_that_break_nothing_pass(void **state)
{
	static const struct {
		size_t offset;
		u64 value;
	} fine[] = {
		{AT(GUEST_CS_ATTR), 0xa09f}, /* conforming */
		{AT(GUEST_CS_ATTR), 0xc093}, /* data, ring 0 */
		{AT(GUEST_LDTR_ATTR), 0x82}, /* an LDT */
		{AT(GUEST_SS_ATTR), UNUSABLE},
		{AT(GUEST_ACTIVITY), 1},
		{AT(GUEST_BLOCKING), BLOCKED_NMI},
		{AT(GUEST_PENDING_DEBUG), PENDING_DEBUG_BS},
		{AT(ENTRY_INTR_INFO), HV_EVENT_VALID | HV_EVENT_NMI},
		{AT(EPT_POINTER), 0x5000 | EPTP_WRITE_BACK | EPTP_4_LEVELS | EPTP_ACCESSED_DIRTY},
	};

	for (u32 i = 0; i < ARRAY_SIZE(fine); i++) {
		struct vmcs_guest_fields g = long_mode;
		const char *got;

		memcpy((u8 *)&g + fine[i].offset, &fine[i].value, sizeof(u64));
		if (fine[i].value == 0xc093) /* 32-bit code then */
			g.GUEST_RIP = 0;
		got = audit(&g);
		if (got)
			fail_msg("case %u: expected no complaint, got %s", i, got);
	}
}

static void a_bad_state_names_its_field(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vmcs_guest_fields g = *bad[i].base;
		const char *got, *field = bad[i].field;

		memcpy((u8 *)&g + bad[i].offset, &bad[i].value, sizeof(u64));
		memcpy((u8 *)&g + bad[i].also, &bad[i].also_value, sizeof(u64));
		got = audit(&g);
		/* the common rules say CR0, CR4 and EFER; the four PDPTEs are named together */
		if (got && strncmp(got, "GUEST_", 6) && strncmp(got, field, 4))
			field += 6;
		if (!got ||
		    strncmp(got, field, strncmp(field, "GUEST_PDPTE", 11) ? strlen(field) : 11))
			fail_msg("case %u: expected %s, got %s", i, field,
				 got ? got : "no complaint");
	}
}

/* ---- As text ---- */

static char said[64][200];
static u32 lines;

static void say(const char *line)
{
	assert_true(lines < ARRAY_SIZE(said));
	snprintf(said[lines++], sizeof(said[0]), "%s", line);
}

static bool in_report(const char *what)
{
	for (u32 i = 0; i < lines; i++)
		if (strstr(said[i], what))
			return true;
	return false;
}

static void a_report_names_every_field_that_is_not_zero(void **state)
{
	static const char *const expected[] = {" GUEST_CR0 80000021", " EPT_POINTER 501e",
					       " GUEST_GS_BASE ffff888000000000",
					       " GUEST_TR_ATTR 8b"};
	struct vcpu_record r = record(&long_mode);

	lines = 0;
	audit_report(&r, false, say);
	for (u32 i = 0; i < ARRAY_SIZE(expected); i++)
		if (!in_report(expected[i]))
			fail_msg("expected %s in the report, got %u lines without", expected[i],
				 lines);
	assert_false(in_report("PDPTE"));
	assert_false(in_report("refused"));

	memset(r.word, 0xff, sizeof(r.word)); /* as long as it gets */
	lines = 0;
	audit_report(&r, false, say);
	assert_true(in_report(" EXIT_REASON ffffffffffffffff"));
	assert_true(in_report(" GUEST_TR_ATTR ffffffffffffffff"));
}

static void a_refusal_names_the_field_or_the_instruction_error(void **state)
{
	struct vmcs_guest_fields g = long_mode;
	struct vcpu_record r;

	g.VM_INSTRUCTION_ERROR = 7;
	r = record(&g);
	lines = 0;
	audit_report(&r, true, say);
	assert_string_equal(said[0], "entry refused: the audit finds nothing wrong");
	assert_string_equal(
		said[1], "vmx: VMLAUNCH or VMRESUME failed, error 7: a control field is invalid");

	g.EXIT_REASON = EXIT_ENTRY_FAILED | EXIT_BAD_GUEST_STATE;
	g.GUEST_RFLAGS = 0;
	r = record(&g);
	lines = 0;
	audit_report(&r, true, say);
	assert_string_equal(said[0],
			    "entry refused: GUEST_RFLAGS: a reserved bit is not as it must be");
	assert_false(in_report("VMLAUNCH"));
}

static void each_number_has_its_word(void **state)
{
	u32 host = 0;

	for (u32 i = 0; i < VMCS_NUMBERS; i++) {
		assert_int_equal(VMCS_WORD(VMCS_NTH(i)), i);
		host += (VMCS_NTH(i) >> 10 & 3) == 3;
		assert_int_equal(i >= RECORD_WORDS, (VMCS_NTH(i) >> 10 & 3) == 3);
	}
	assert_int_equal(host, VMCS_NUMBERS - RECORD_WORDS);
	assert_int_equal(VMCS_NTH(VMCS_WORD(0x681e)), 0x681e);
}

static void a_record_of_nobody_says_nothing(void **state)
{
	struct vcpu_record r = {.vendor = 77};

	lines = 0;
	audit_report(&r, true, say);
	assert_int_equal(lines, 0);
	assert_string_equal(audit_record(&r), "record: of neither vendor");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_states_pass),
		cmocka_unit_test(an_emulated_state_is_not_judged),
		cmocka_unit_test(changes_that_break_nothing_pass),
		cmocka_unit_test(a_bad_state_names_its_field),
		cmocka_unit_test(a_report_names_every_field_that_is_not_zero),
		cmocka_unit_test(a_refusal_names_the_field_or_the_instruction_error),
		cmocka_unit_test(each_number_has_its_word),
		cmocka_unit_test(a_record_of_nobody_says_nothing),
	};

	return cmocka_run_group_tests_name("vmx_audit", tests, NULL, NULL);
}
