// SOURCES: kernel/cr_rules.c vmx/vmx_audit.c
/* The audit finds every state that VM entry refuses, and names the field. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/msr.h"
#include "vmx/vmx.h"

#define FIXED(msr) .vmx_msr[MSR_VMX_##msr - MSR_VMX_BASIC]
struct cpu_facts cpu_facts = {
	.phys_bits = 39,
	FIXED(CR0_FIXED0) = 0x80000021,
	FIXED(CR0_FIXED1) = 0xffffffff,
	FIXED(CR4_FIXED0) = 0x2000,
	FIXED(CR4_FIXED1) = 0x3727ff,
};
struct guest_bits guest_bits = {.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
				.cr4 = CR4_PAE | CR4_PSE | CR4_PGE | CR4_OSFXSR | CR4_PCIDE};

/* What is injected in the cases below: an interrupt, an NMI, or a type that there is not. */
bool vmx_event_valid(u32 event) { return (event & EVENT_TYPE_MASK) != 1u << 8; }

enum { DATA = 0xc093, TSS = 0x8b, UNUSABLE = VMCS_ATTR_UNUSABLE };

#define FLAT(seg, a) .GUEST_##seg##_LIMIT = 0xffffffff, .GUEST_##seg##_ATTR = (a)
#define NOT_IN_SEGMENTS                                                                            \
	.EPT_POINTER = 0x5000 | EPTP_WRITE_BACK | EPTP_4_LEVELS, .LINK_POINTER = ~0ull,            \
	.GUEST_DR7 = 0x400, .PROC2_CONTROLS = PROC2_VPID, .VPID = 1, .GUEST_LDTR_ATTR = UNUSABLE,  \
	.GUEST_TR_LIMIT = 0x67, .GUEST_RFLAGS = RFLAGS_FIXED

static const struct vmx_fields long_mode = {
	NOT_IN_SEGMENTS,
	.ENTRY_CONTROLS = ENTRY_LONG_MODE,
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
static const struct vmx_fields real_mode = {
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
static const struct vmx_fields user_32 = {
	NOT_IN_SEGMENTS,
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
static const struct vmx_fields v86 = {
	NOT_IN_SEGMENTS | RFLAGS_VM,
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

#define AT(name) offsetof(struct vmx_fields, name)
#define BAD2(base, name, value, also, also_value)                                                  \
	{                                                                                          \
		&base, #name, AT(name), value, AT(also), also_value                                \
	}
#define BAD(base, name, value) BAD2(base, name, value, name, value)

static const struct {
	const struct vmx_fields *base;
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
	BAD(long_mode, GUEST_CR4, CR4_PAE | CR4_VMXE | CR4_PKE),
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

static void good_states_pass(void **state)
{
	const struct vmx_fields *good[] = {&long_mode, &real_mode, &user_32, &v86};

	for (u32 i = 0; i < ARRAY_SIZE(good); i++) {
		const char *got = vmx_audit_fields(good[i]);

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
		struct vmx_fields g = long_mode;
		const char *got;

		memcpy((u8 *)&g + fine[i].offset, &fine[i].value, sizeof(u64));
		if (fine[i].value == 0xc093) /* 32-bit code then */
			g.GUEST_RIP = 0;
		got = vmx_audit_fields(&g);
		if (got)
			fail_msg("case %u: expected no complaint, got %s", i, got);
	}
}

static void a_bad_state_names_its_field(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vmx_fields g = *bad[i].base;
		const char *got, *field = bad[i].field;

		memcpy((u8 *)&g + bad[i].offset, &bad[i].value, sizeof(u64));
		memcpy((u8 *)&g + bad[i].also, &bad[i].also_value, sizeof(u64));
		got = vmx_audit_fields(&g);
		/* the common rules say CR0, CR4 and EFER; the four PDPTEs are named together */
		if (got && strncmp(got, "GUEST_", 6) && strncmp(got, field, 4))
			field += 6;
		if (!got ||
		    strncmp(got, field, strncmp(field, "GUEST_PDPTE", 11) ? strlen(field) : 11))
			fail_msg("case %u: expected %s, got %s", i, field,
				 got ? got : "no complaint");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_states_pass),
		cmocka_unit_test(changes_that_break_nothing_pass),
		cmocka_unit_test(a_bad_state_names_its_field),
	};

	return cmocka_run_group_tests_name("vmx_audit", tests, NULL, NULL);
}
