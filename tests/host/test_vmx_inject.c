// SOURCES:
/* Events at an entry of VT-x, with a VMCS that is an array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fake_vmcs.h"
#include "vmx/vmx_inject.c"

struct vmx_caps vmx_caps;
struct cpu_facts cpu_facts;

hpa_t vmx_msr_bitmap(bool x2apic) { return hpa(0); }
bool vmx_exit_in_delivery(u32 reason) { return reason == EXIT_EPT_VIOLATION; }
void assert_fail(const char *e, const char *f, int l) { abort(); }

static struct vcpu_private private;
static u32 apic_page[PAGE_SIZE / sizeof(u32)];
static struct vmx_vcpu vcpu;

/* Interrupts are open. */
static struct vmx_vcpu *fresh(void)
{
	memset(vmcs, 0, sizeof(vmcs));
	memset(&private, 0, sizeof(private));
	vcpu = (struct vmx_vcpu){.vcpu.priv = &private, .vcpu.lapic.page = apic_page};
	private.regs.rflags = RFLAGS_IF;
	vmcs[VMCS_GUEST_CR0.id] = CR0_PE;
	return &vcpu;
}

static void exceptions_have_an_error_code_where_the_cpu_wants_one(void **state)
{
	static const struct {
		const char *what;
		u32 event, cr0, info;
	} cases[] = {
		{"#GP", HV_EVENT_EXCEPTION | EXC_GP, CR0_PE,
		 HV_EVENT_EXCEPTION | HV_EVENT_ERROR | EXC_GP},
		{"#GP in real mode", HV_EVENT_EXCEPTION | HV_EVENT_ERROR | EXC_GP, 0,
		 HV_EVENT_EXCEPTION | EXC_GP},
		{"#UD", HV_EVENT_EXCEPTION | HV_EVENT_ERROR | EXC_UD, CR0_PE,
		 HV_EVENT_EXCEPTION | EXC_UD},
		{"a vector that no exception has", HV_EVENT_EXCEPTION | 255, CR0_PE,
		 HV_EVENT_EXCEPTION | 255},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vmx_vcpu *s = fresh();
		u32 info;

		vmcs[VMCS_GUEST_CR0.id] = cases[i].cr0;
		vmx_inject(&s->vcpu, cases[i].event, 0);
		vmx_event_prepare(s);
		info = vmcs_read32(VMCS_ENTRY_INTR_INFO);
		if (info != (cases[i].info | HV_EVENT_VALID))
			fail_msg("%s: expected %#x, got %#x", cases[i].what,
				 cases[i].info | HV_EVENT_VALID, info);
	}
}

static void refused_entry_delivers_nothing_and_loses_nothing(void **state)
{
	static const u32 reasons[] = {EXIT_ENTRY_FAILED, EXIT_ENTRY_FAILED | EXIT_BAD_GUEST_STATE};

	for (u32 i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct vmx_vcpu *s = fresh();

		s->vcpu.lapic.offered = 0x31;
		vmx_event_prepare(s);
		assert_int_equal(s->event, HV_EVENT_VALID | HV_EVENT_IRQ | 0x31);
		assert_false(vmx_event_complete(s, reasons[i]));
		assert_int_equal(s->event, 0);
		assert_false(s->launched);
		/* the CPU has not cleared it, and the next entry may be without an event */
		assert_int_equal(vmcs[VMCS_ENTRY_INTR_INFO.id], 0);

		vmx_event_prepare(s);
		assert_true(vmx_event_complete(s, EXIT_HLT));
		s->vcpu.lapic.offered = 0; /* as the kernel does */

		vmx_inject(&s->vcpu, HV_EVENT_EXCEPTION | EXC_UD, 0);
		vmx_event_prepare(s);
		assert_false(vmx_event_complete(s, reasons[i]));
		assert_int_equal(s->event, HV_EVENT_VALID | HV_EVENT_EXCEPTION | EXC_UD);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exceptions_have_an_error_code_where_the_cpu_wants_one),
		cmocka_unit_test(refused_entry_delivers_nothing_and_loses_nothing),
	};

	return cmocka_run_group_tests_name("vmx_inject", tests, NULL, NULL);
}
