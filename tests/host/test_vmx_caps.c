// SOURCES: vmx/vmx_caps.c lib/fmt.c
/* VT-x: which machines are usable, and which controls and options are used on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/msr.h"
#include "vmx/vmx.h"

struct cpu_facts cpu_facts;

enum { /* as vmx_caps.c counts them from MSR_VMX_TRUE_PINBASED_CTLS on */
       MSR_VMX_TRUE_PROCBASED_CTLS = 0x48e,
       MSR_VMX_TRUE_EXIT_CTLS = 0x48f,
       MSR_VMX_TRUE_ENTRY_CTLS = 0x490,
};

static char logged[1024];

void log_line(enum log_level level, const char *format, ...)
{
	size_t n = strlen(logged);
	va_list ap;

	va_start(ap, format);
	vsnprintf(logged + n, sizeof(logged) - n, format, ap);
	va_end(ap);
	strncat(logged, "\n", sizeof(logged) - strlen(logged) - 1);
}

/* In the order of the MSRs from IA32_VMX_BASIC on. */
#define FACTS(...)                                                                                 \
	{                                                                                          \
		.vmx = true, .rdtscp = true, .phys_bits = 39, .vmx_msr = { __VA_ARGS__ }           \
	}
#define MISC 0x7004c1e7
#define MAY(bit) ((u64)(bit) << 32)
#define CR0_FIXED 0x80000021, 0xffffffff

/* Neither the registers that tell the truth, nor EPT, nor virtual NMIs. */
static const struct cpu_facts core2 =
	FACTS(0x001a040000000007, 0x0000001f00000016, 0xf7f9fffe0401e172, 0x0003ffff00036dff,
	      0x00003fff000011ff, MISC, CR0_FIXED, 0x2000, 0x27ff, 0x2c, 0x0000004100000000);
/* The first with EPT: real mode needs paging there, and no 1 GiB pages. */
static const struct cpu_facts nehalem =
	FACTS(0x00da040000000004, 0x0000007f00000016, 0xfff9fffe0401e172, 0x007fffff00036dff,
	      0x0000ffff000011ff, MISC, CR0_FIXED, 0x2000, 0x67ff, 0x2a, 0x0000007f00000000,
	      0x00000f0106114141, 0x0000007f00000016, 0xfff9fffe04006172, 0x007fffff00036dfb,
	      0x0000ffff000011fb);
static const struct cpu_facts skylake =
	FACTS(0x00da040000000004, 0x0000007f00000016, 0xfff9fffe0401e172, 0x01ffffff00036dff,
	      0x0003ffff000011ff, MISC, CR0_FIXED, 0x2000, 0x3727ff, 0x2e, 0x001ffcff00000000,
	      0x00000f0106334141, 0x0000007f00000016, 0xfff9fffe04006172, 0x01ffffff00036dfb,
	      0x0003ffff000011fb);
/* With posted interrupts, and tertiary controls left alone. */
static const struct cpu_facts icelake =
	FACTS(0x00da040000000004, 0x000000ff00000016, 0xfff9fffe0401e172, 0x47ffffff00036dff,
	      0x000fffff000011ff, MISC, CR0_FIXED, 0x2000, 0x773fff, 0x32, 0x157effff00000000,
	      0x00000f0106f34141, 0x000000ff00000016, 0xfff9fffe04006172, 0x47ffffff00036dfb,
	      0x000fffff000011fb);

static const char *why_of(const struct cpu_facts *f)
{
	const char *why = "unset";

	if (vmx_probe(f, &why) != !why)
		fail_msg("accepted, and: %s", why);
	return why ? why : "usable";
}

static void what_is_missing_is_named_in_one_line(void **state)
{
	struct cpu_facts none = {0}, off = skylake;

	off.vmx_locked_off = true;
	assert_string_equal(why_of(&none), "the CPU does not offer VT-x");
	assert_string_equal(why_of(&off),
			    "VT-x is switched off by the firmware; enable it in its set-up");
	assert_ptr_equal(strstr(why_of(&core2), "the CPU's VT-x lacks virtual NMIs, EPT, "),
			 why_of(&core2));
	assert_true(strlen(why_of(&core2)) <= 95);
	assert_string_equal(why_of(&nehalem), "usable");
	assert_string_equal(why_of(&skylake), "usable");
	assert_string_equal(why_of(&icelake), "usable");
}

/* The manual: a control that is not in the table has the value that the CPU wants. */
static void a_vcpu_starts_with_what_is_required_and_offered(void **state)
{
	static const struct {
		const struct cpu_facts *f;
		u32 pin, proc2, exit;
	} usable[] = {{&skylake, 0x7f, 0x14ea, 0x2b6fff}, {&icelake, 0xff, 0x17fb, 0x2befff}};
	struct vmx_caps c;

	for (u32 i = 0; i < ARRAY_SIZE(usable); i++) {
		assert_null(vmx_negotiate(usable[i].f, &c));
		assert_int_equal(c.pin, usable[i].pin);
		assert_int_equal(c.proc, 0xb5a06dfa);
		assert_int_equal(c.proc2, usable[i].proc2);
		assert_int_equal(c.exit, usable[i].exit);
		assert_int_equal(c.entry, 0xd1ff);
		assert_true(c.vpid);
		assert_true(c.ept_ad);
		assert_int_equal(c.timer_rate, usable[i].f->vmx_msr[5] & 31);
		assert_int_equal(c.ept_leaf, 3);
		assert_int_equal(c.invept, INV_SINGLE);
	}
}

/* All parts of APIC virtualization together, or none; posted interrupts with it only. */
static void apic_virtualization_is_used_as_a_whole(void **state)
{
	static const u64 pin = 0x000000ff00000016, proc2 = 0x005fffff00000000;
	static const struct {
		const char *what;
		u64 pin, proc2, exit;
		bool noapicv, apicv, posted;
	} cases[] = {
		{"all", pin, proc2, 0, false, true, true},
		{"no posted interrupts", 0x0000007f00000016, proc2, 0, false, true, false},
		{"no acknowledge", pin, proc2, MAY(EXIT_ACK_INTERRUPT), false, true, false},
		{"no APIC page", pin, proc2 & ~MAY(PROC2_APIC_ACCESSES), 0, false, false, false},
		{"no registers", pin, proc2 & ~MAY(PROC2_APIC_REGISTERS), 0, false, false, false},
		{"no x2APIC mode", pin, proc2 & ~MAY(PROC2_X2APIC), 0, false, false, false},
		{"no delivery", pin, proc2 & ~MAY(PROC2_IRQ_DELIVERY), 0, false, false, false},
		{"noapicv", pin, proc2, 0, true, false, false},
		{"real mode is emulated", pin, proc2 & ~MAY(PROC2_UNRESTRICTED), 0, false, false,
		 false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_facts f = icelake;
		struct vmx_caps c;

		f.vmx_msr[MSR_VMX_TRUE_PINBASED_CTLS - MSR_VMX_BASIC] = cases[i].pin;
		f.vmx_msr[MSR_VMX_PROCBASED_CTLS2 - MSR_VMX_BASIC] = cases[i].proc2;
		f.vmx_msr[MSR_VMX_TRUE_EXIT_CTLS - MSR_VMX_BASIC] &= ~cases[i].exit;
		f.noapicv = cases[i].noapicv;
		assert_null(vmx_negotiate(&f, &c));
		if (c.apicv != cases[i].apicv || c.posted != cases[i].posted)
			fail_msg("%s: expected %d %d, got %d %d", cases[i].what, cases[i].apicv,
				 cases[i].posted, c.apicv, c.posted);
		assert_int_equal(c.proc2 & PROC2_APICV, c.apicv ? PROC2_APICV : 0);
		assert_int_equal(!!(c.pin & PIN_POSTED_INTERRUPTS), c.posted);
		assert_int_equal(!!(c.exit & EXIT_ACK_INTERRUPT), c.posted);
	}
}

/* One register of an Icelake without some bits, or with others instead. */
struct change {
	u32 msr;
	u64 clear, set;
	const char *expect;
};

static struct cpu_facts changed(const struct change *c)
{
	struct cpu_facts f = icelake;
	u64 *msr = &f.vmx_msr[c->msr - MSR_VMX_BASIC];

	*msr = (*msr & ~c->clear) | c->set;
	f.invpcid = true;
	return f;
}

static void each_required_control_is_missed(void **state)
{
	static const struct change cases[] = {
		{MSR_VMX_TRUE_PINBASED_CTLS, MAY(PIN_EXTINT_EXIT), 0,
		 "external-interrupt or NMI exiting"},
		{MSR_VMX_TRUE_PINBASED_CTLS, MAY(PIN_VIRTUAL_NMIS), 0, "virtual NMIs"},
		{MSR_VMX_TRUE_PROCBASED_CTLS, MAY(PROC_SECONDARY), 0, "secondary controls"},
		{MSR_VMX_TRUE_PROCBASED_CTLS, MAY(PROC_IRQ_WINDOW), 0, "window exiting"},
		{MSR_VMX_TRUE_PROCBASED_CTLS, MAY(PROC_MSR_BITMAP), 0, "MSR bitmaps"},
		{MSR_VMX_TRUE_PROCBASED_CTLS, 0, PROC_CR3_LOAD_EXIT,
		 "CR3, CR8 or INVLPG without exits"},
		{MSR_VMX_TRUE_PROCBASED_CTLS, 0, PROC_CR8_STORE_EXIT,
		 "CR3, CR8 or INVLPG without exits"},
		{MSR_VMX_PROCBASED_CTLS2, MAY(PROC2_EPT), 0, "EPT"},
		{MSR_VMX_PROCBASED_CTLS2, MAY(PROC2_RDTSCP), 0, "RDTSCP"},
		{MSR_VMX_PROCBASED_CTLS2, MAY(PROC2_INVPCID), 0, "INVPCID"},
		{MSR_VMX_TRUE_EXIT_CTLS, MAY(EXIT_HOST_64), 0, "64-bit host"},
		{MSR_VMX_TRUE_EXIT_CTLS, MAY(EXIT_LOAD_EFER), 0, "DR7, PAT or EFER at exit"},
		{MSR_VMX_TRUE_ENTRY_CTLS, MAY(ENTRY_LOAD_PAT), 0, "DR7, PAT or EFER at entry"},
		{MSR_VMX_TRUE_ENTRY_CTLS, 0, ENTRY_LONG_MODE, "32-bit guests"},
		{MSR_VMX_EPT_VPID_CAP, EPT_CAN_4_LEVELS, 0, "EPT in 4 levels, write-back"},
		{MSR_VMX_EPT_VPID_CAP, EPT_CAN_INVEPT_ALL, 0, "INVEPT of all contexts"},
		/* without the bit of BASIC, the registers that tell the truth are not there */
		{MSR_VMX_BASIC, VMX_BASIC_TRUE_CONTROLS, 0, "CR3, CR8 or INVLPG without exits"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_facts f = changed(&cases[i]);
		char expect[96];

		snprintf(expect, sizeof(expect), "the CPU's VT-x lacks %s", cases[i].expect);
		if (strncmp(why_of(&f), expect, strlen(expect)))
			fail_msg("case %u: expected %s, got %s", i, expect, why_of(&f));
	}
}

static void absurd_values_are_refused(void **state)
{
	static const struct change cases[] = {
		{MSR_VMX_BASIC, 0x1fffull << 32, 0, "control structures"},
		{MSR_VMX_BASIC, 0, 0x1fffull << 32, "control structures"},
		{MSR_VMX_BASIC, 0, 1ull << 48, "control structures"},
		{MSR_VMX_BASIC, 15ull << 50, 0, "write-back"},
		{MSR_VMX_TRUE_PINBASED_CTLS, 0, 1u << 31, "that they forbid"},
		{MSR_VMX_PROCBASED_CTLS2, 0, 1u << 31, "that they forbid"},
		{MSR_VMX_CR0_FIXED0, 0, CR0_WP, "CR0"},
		{MSR_VMX_CR0_FIXED0, 0, 1ull << 63, "CR0"},
		{MSR_VMX_CR0_FIXED1, CR0_CD, 0, "CR0"},
		{MSR_VMX_CR4_FIXED0, 0, CR4_PAE, "CR4"},
		{MSR_VMX_CR4_FIXED0, CR4_VMXE, 0, "CR4"},
		{MSR_VMX_CR4_FIXED1, CR4_VMXE, 0, "CR4"},
	};
	struct cpu_facts all = {.vmx = true};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cpu_facts f = changed(&cases[i]);

		if (!strstr(why_of(&f), cases[i].expect))
			fail_msg("case %u: expected %s, got %s", i, cases[i].expect, why_of(&f));
	}
	assert_string_not_equal(why_of(&all), "usable");
	memset(all.vmx_msr, 0xff, sizeof(all.vmx_msr));
	assert_string_not_equal(why_of(&all), "usable");
}

static void options_fall_back_with_a_line_each(void **state)
{
	static const struct change cases[] = {
		{MSR_VMX_PROCBASED_CTLS2, MAY(PROC2_VPID), 0, "vpid"},
		{MSR_VMX_EPT_VPID_CAP, VPID_CAN_INVVPID, 0, "vpid"},
		{MSR_VMX_EPT_VPID_CAP, VPID_CAN_INVVPID_ALL, 0, "vpid"},
		{MSR_VMX_PROCBASED_CTLS2, MAY(PROC2_PAUSE_LOOP), 0, "pause-loop"},
		{MSR_VMX_PROCBASED_CTLS2, MAY(PROC2_WBINVD_EXIT), 0, "wbinvd-exiting"},
		{MSR_VMX_TRUE_PINBASED_CTLS, MAY(PIN_PREEMPTION_TIMER), 0, "preemption-timer"},
		{MSR_VMX_TRUE_PINBASED_CTLS, MAY(PIN_POSTED_INTERRUPTS), 0, "posted-interrupts"},
		{MSR_VMX_EPT_VPID_CAP, EPT_CAN_1G, 0, "ept-1g"},
		{MSR_VMX_EPT_VPID_CAP, EPT_CAN_ACCESSED_DIRTY, 0, "ept-ad"},
		{MSR_VMX_EPT_VPID_CAP, EPT_CAN_INVEPT_SINGLE, 0, "invept-single"},
	};
	char buf[160], expect[96];

	cpu_facts = icelake;
	vmx_features(buf, sizeof(buf));
	assert_string_equal(
		buf,
		"ept unrestricted-guest preemption-timer apicv posted-interrupts vpid ept-2m ept-1g ept-ad invept-single pause-loop "
		"wbinvd-exiting");
	vmx_fallbacks();
	assert_string_equal(logged, "");
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		cpu_facts = changed(&cases[i]);
		assert_string_equal(why_of(&cpu_facts), "usable");
		vmx_features(buf, sizeof(buf));
		assert_null(strstr(buf, cases[i].expect));
		logged[0] = 0;
		vmx_fallbacks();
		snprintf(expect, sizeof(expect), "vmx: without %s: ", cases[i].expect);
		assert_ptr_equal(strstr(logged, expect), logged);
		assert_ptr_equal(strchr(logged, '\n'), logged + strlen(logged) - 1);
	}
	cpu_facts = icelake;
	cpu_facts.nounrestricted = true;
	logged[0] = 0;
	vmx_fallbacks();
	assert_string_equal(
		logged, "vmx: without unrestricted-guest: real mode is emulated\n"
			"vmx: without apicv: the local APIC's registers and interrupts cost exits\n"
			"vmx: without posted-interrupts: an interrupt makes a guest exit\n");
	vmx_features(buf, 8);
	assert_string_equal(buf, "ept pre");
}

static void without_an_option_its_control_stays_off(void **state)
{
	struct change no_vpid = {MSR_VMX_EPT_VPID_CAP, VPID_CAN_INVVPID_ALL, 0, 0};
	struct change no_single = {MSR_VMX_EPT_VPID_CAP, EPT_CAN_INVEPT_SINGLE, 0, 0};
	struct change no_1g = {MSR_VMX_EPT_VPID_CAP, EPT_CAN_1G, 0, 0};
	struct change no_2m = {MSR_VMX_EPT_VPID_CAP, EPT_CAN_2M, 0, 0};
	struct cpu_facts f = changed(&no_vpid);
	struct vmx_caps c;

	assert_null(vmx_negotiate(&f, &c));
	assert_false(c.vpid);
	assert_int_equal(c.proc2, 0x17db);
	f = changed(&no_single);
	assert_null(vmx_negotiate(&f, &c));
	assert_int_equal(c.invept, INV_ALL);
	f = changed(&no_1g);
	assert_null(vmx_negotiate(&f, &c));
	assert_int_equal(c.ept_leaf, 2);
	f = changed(&no_2m);
	assert_null(vmx_negotiate(&f, &c));
	assert_int_equal(c.ept_leaf, 1);
	assert_true(c.unrestricted);
	f.nounrestricted = true;
	assert_null(vmx_negotiate(&f, &c));
	assert_false(c.unrestricted || c.apicv || c.proc2 & PROC2_UNRESTRICTED);
	assert_null(vmx_negotiate(&nehalem, &c));
	assert_false(c.unrestricted);
	f = skylake;
	f.rdtscp = false;
	f.vmx_msr[MSR_VMX_PROCBASED_CTLS2 - MSR_VMX_BASIC] &= ~MAY(PROC2_RDTSCP | PROC2_INVPCID);
	assert_null(vmx_negotiate(&f, &c));
	assert_int_equal(c.proc2, 0x4e2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_missing_is_named_in_one_line),
		cmocka_unit_test(a_vcpu_starts_with_what_is_required_and_offered),
		cmocka_unit_test(apic_virtualization_is_used_as_a_whole),
		cmocka_unit_test(each_required_control_is_missed),
		cmocka_unit_test(absurd_values_are_refused),
		cmocka_unit_test(options_fall_back_with_a_line_each),
		cmocka_unit_test(without_an_option_its_control_stays_off),
	};

	return cmocka_run_group_tests_name("vmx_caps", tests, NULL, NULL);
}
