// SOURCES: kernel/vcpu_state.c vmm/cpu_reset.c
// SOURCES: svm/svm_state.c svm/svm_inject.c svm/svm_record.c
// SOURCES: audit/audit.c audit/svm_audit.c audit/vmx_audit.c lib/guest_rules.c lib/fmt.c
/*
 * State groups: what is set is got, a bad value changes nothing, and control registers stay safe
 * for the host.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/msr.h"
#include "audit/audit.h"
#include "kernel/pv.h"
#include "kernel/syscall.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"
#include "mm/ucopy.h"
#include "svm/svm.h"
#include "vmm/cpu_reset.h"

/* AMD APM 2, Appendix B "Layout of VMCB". */
static_assert(offsetof(struct vmcb, int_ctl) == 0x060, "VMCB");
static_assert(offsetof(struct vmcb, exit_code) == 0x070, "VMCB");
static_assert(offsetof(struct vmcb, event_inj) == 0x0a8, "VMCB");
static_assert(offsetof(struct vmcb, nested_cr3) == 0x0b0, "VMCB");
static_assert(offsetof(struct vmcb, next_rip) == 0x0c8, "VMCB");
static_assert(offsetof(struct vmcb, es) == 0x400, "VMCB");
static_assert(offsetof(struct vmcb, tr) == 0x490, "VMCB");
static_assert(offsetof(struct vmcb, cpl) == 0x4cb, "VMCB");
static_assert(offsetof(struct vmcb, rsp) == 0x5d8, "VMCB");
static_assert(offsetof(struct vmcb, g_pat) == 0x668, "VMCB");

#define GROUPS (STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_MSR | STATE_EVENT)

struct cpu_facts cpu_facts = {.svm_asids = 16, .phys_bits = 40};
struct guest_bits guest_bits = {.cr4 = CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_MCE,
				.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE};

bool fpu_xcr0_valid(u64 x) { return x == 1 || x == 3 || x == 7; }
void fpu_set_xcr0(struct vcpu *v, u64 x) { v->xcr0 = x; }
void fpu_get(struct vcpu *v, u8 *area) {}
void fpu_set(struct vcpu *v, const u8 *area) {}
bool pv_valid(const u64 msr[PV_MSRS]) { return true; }
void pv_set(struct vcpu *v, const u64 msr[PV_MSRS]) {}
void pv_eoi_withdraw(struct vcpu *v) {}
void vlapic_get_state(struct vcpu *v, struct vcpu_state *s) {}
void vlapic_set_state(struct vcpu *v, const struct vcpu_state *s) {}
void vlapic_timer_stop(struct vcpu *v) {}
void vlapic_timer_set(struct vcpu *v, u64 apic_deadline, u64 tsc_deadline) {}
int vcpu_claim(struct vcpu *v) { return 0; }
void vcpu_release(struct vcpu *v) {}
void assert_fail(const char *e, const char *f, int l) { abort(); }

int ucopy_in(void *to, u64 from, size_t n)
{
	memcpy(to, (const void *)from, n);
	return 0;
}

int ucopy_out(u64 to, const void *from, size_t n)
{
	memcpy((void *)to, from, n);
	return 0;
}

static const struct hv_ops ops = {.get_state = svm_get_state, .set_state = svm_set_state};
const struct hv_ops *hv_ops = &ops;

static struct vmcb block;
static struct vcpu_private private;
static u32 apic_page[PAGE_SIZE / sizeof(u32)];
static struct svm_vcpu vcpu;

static s64 set_state(struct vcpu *v, const struct vcpu_state *st, u32 groups)
{
	struct vcpu_state in = *st;
	struct sys_args args = {.a = {0, (u64)&in}};

	in.size = sizeof(in);
	in.groups = groups;
	return sys_vcpu_set(&v->obj, &args);
}

static void get_state(struct vcpu *v, struct vcpu_state *st, u32 groups)
{
	struct sys_args args = {.a = {0, (u64)st}};

	st->size = sizeof(*st);
	st->groups = groups;
	assert_int_equal(sys_vcpu_get(&v->obj, &args), 0);
}

static struct vcpu *fresh(void)
{
	static struct vcpu_state st, scratch;

	memset(&block, 0, sizeof(block));
	vcpu = (struct svm_vcpu){.vmcb = &block};
	vcpu.vcpu.priv = &private;
	vcpu.vcpu.lapic.page = apic_page;
	vcpu.vcpu.scratch = &scratch;
	vcpu.vcpu.xcr0 = 1;
	block.intercept[4] = 1;
	block.nested_ctl = NESTED_NP_ENABLE;
	block.efer = EFER_SVME;
	block.g_pat = 0x0007040600070406;
	cpu_power_on(&st, 0);
	assert_int_equal(set_state(&vcpu.vcpu, &st, GROUPS & ~(u32)STATE_MSR), 0);
	return &vcpu.vcpu;
}

static const char *audit(struct vcpu *v)
{
	struct vcpu_record r = {.phys_bits = cpu_facts.phys_bits, .may = guest_bits};

	svm_record(v, &r);
	return audit_record(&r);
}

/* A 64-bit guest at CPL 0. */
static struct vcpu_state long_mode(struct vcpu *v)
{
	struct vcpu_state st = {.size = sizeof(st)};

	get_state(v, &st, GROUPS);
	st.cr0 = CR0_PE | CR0_PG | CR0_ET;
	st.cr3 = 0x1000;
	st.cr4 = CR4_PAE;
	st.efer = EFER_LME | EFER_LMA;
	st.xcr0 = 7;
	st.seg[SEG_CS] = (struct seg_state){0x10, 0xa9b, 0xffffffff, 0};
	st.seg[SEG_GS].base = 0xffff888000000000;
	st.gpr[GPR_RSI] = 0x90000;
	st.rip = 0x100000;
	st.dr7 = 0x455;
	st.msr.lstar = 0xffffffff81000000;
	return st;
}

static void reserved_flags_are_dropped(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_state st = {.rflags = ~0ull};

	assert_int_equal(set_state(v, &st, STATE_GPR), 0);
	assert_int_equal(v->priv->regs.rflags, 0x3f7fd7);
	st.rflags = 0;
	assert_int_equal(set_state(v, &st, STATE_GPR), 0);
	assert_int_equal(v->priv->regs.rflags, 2);
}

static void reset_state_is_that_of_the_manual(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_state st = {0};

	get_state(v, &st, GROUPS);
	assert_int_equal(st.gpr[GPR_RDX], 0x600);
	assert_int_equal(st.cr0, 0x60000010);
	assert_int_equal(st.efer, 0);
	assert_int_equal(st.rip, 0xfff0);
	assert_int_equal(st.rflags, 2);
	assert_int_equal(st.seg[SEG_CS].base, 0xffff0000);
	assert_int_equal(st.seg[SEG_CS].selector, 0xf000);
	assert_int_equal(st.dr6, 0xffff0ff0);
	assert_int_equal(st.dr7, 0x400);
	assert_int_equal(st.msr.pat, 0x0007040600070406);
	assert_null(audit(v));
}

static void what_is_set_is_got(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_state in = long_mode(v), out = in;

	in.event.injecting = HV_EVENT_VALID | HV_EVENT_EXCEPTION | HV_EVENT_ERROR | EXC_GP;
	in.event.injecting_error = 0x18;
	in.event.nmi_blocked = 1;
	assert_int_equal(set_state(v, &in, GROUPS), 0);
	get_state(v, &out, GROUPS);
	assert_memory_equal(&out.gpr, &in.gpr, sizeof(in.gpr));
	assert_memory_equal(&out.seg, &in.seg, sizeof(in.seg));
	assert_memory_equal(&out.msr, &in.msr, sizeof(in.msr));
	assert_memory_equal(&out.event, &in.event, sizeof(in.event));
	assert_true(out.cr0 == in.cr0 && out.cr3 == in.cr3 && out.cr4 == in.cr4 &&
		    out.efer == in.efer);
	assert_true(out.dr7 == in.dr7 && out.rip == in.rip);
	assert_int_equal(vcpu.vcpu.npt_seen, 0); /* flush */
	assert_true(block.efer & EFER_SVME);
	assert_null(audit(v));
}

/* clang-format off */
#define CASE(name, field, v) \
	{name, offsetof(struct vcpu_state, field), sizeof(((struct vcpu_state *)0)->field), v}
/* clang-format on */

/* What the guest has there is its own; the CPU keeps it on. */
static void machine_checks_stay_on(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_state st = long_mode(v);

	for (u32 i = 0; i < 4; i++) {
		u64 cr4 = CR4_PAE | (i & 1 ? CR4_MCE : 0);

		st.cr4 = cr4;
		assert_int_equal(set_state(v, &st, STATE_CR | STATE_SEG), 0);
		assert_int_equal(block.cr4, CR4_PAE | CR4_MCE);
		assert_int_equal(set_state(v, &st, STATE_SEG), 0);
		st.cr4 = 0;
		get_state(v, &st, STATE_CR | STATE_SEG);
		assert_int_equal(st.cr4, cr4);
		assert_null(audit(v));
	}
}

static void a_bad_value_changes_nothing(void **state)
{
	static const struct {
		const char *name;
		u32 offset, bytes;
		u64 value;
	} cases[] = {
		CASE("CR0 high", cr0, 1ull << 32 | CR0_PE | CR0_PG),
		CASE("CR3 too wide", cr3, 1ull << 40),
		CASE("CR4 reserved", cr4, CR4_PAE | CR4_VMXE),
		CASE("CR8", cr8, 16),
		CASE("EFER.SVME", efer, EFER_SVME | EFER_LME | EFER_LMA),
		CASE("XCR0", xcr0, 4),
		CASE("attr", seg[SEG_DS].attr, 0x1093),
		CASE("GS base", seg[SEG_GS].base, 1ull << 47),
		CASE("GDT limit", gdtr.limit, 0x10000),
		CASE("LSTAR", msr.lstar, 1ull << 63),
		CASE("TSC_AUX", msr.tsc_aux, 1ull << 32),
		CASE("SFMASK", msr.sfmask, 1ull << 32),
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vcpu *v = fresh();
		struct vcpu_state st = long_mode(v);
		struct vmcb before = block;

		memcpy((u8 *)&st + cases[i].offset, &cases[i].value, cases[i].bytes);
		if (set_state(v, &st, GROUPS) != -E_INVAL)
			fail_msg("%s: accepted", cases[i].name);
		if (memcmp(&before, &block, sizeof(block)))
			fail_msg("%s: something changed", cases[i].name);
	}
}

/* Is a flush asked for by setting this group? */
static bool flushes(struct vcpu *v, const struct vcpu_state *st, u32 groups)
{
	v->npt_seen = 7;
	assert_int_equal(set_state(v, st, groups), 0);
	return v->npt_seen != 7;
}

static void only_what_concerns_paging_flushes(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_state st = long_mode(v);

	assert_true(flushes(v, &st, GROUPS));
	assert_true(flushes(v, &st, STATE_CR)); /* a MOV CR3 of the same value */
	st.cr0 ^= CR0_TS;
	assert_false(flushes(v, &st, STATE_CR));
	st.cr0 ^= CR0_MP | CR0_EM | CR0_NE | CR0_AM;
	assert_false(flushes(v, &st, STATE_CR));
	st.cr0 ^= CR0_TS | CR0_WP;
	assert_true(flushes(v, &st, STATE_CR));
	st.cr0 ^= CR0_TS;
	st.cr3 += 0x1000;
	assert_true(flushes(v, &st, STATE_CR));
	st.cr0 ^= CR0_TS;
	st.cr4 ^= CR4_PGE;
	assert_true(flushes(v, &st, STATE_CR));
	st.cr0 ^= CR0_TS;
	st.efer ^= EFER_NXE;
	assert_true(flushes(v, &st, STATE_CR));
	assert_false(flushes(v, &st, GROUPS & ~(u32)STATE_CR));
}

/* The monitor's word is taken; where the CPU refuses the entry, the audit says why. */
static void what_registers_must_keep_together_is_left_to_the_cpu(void **state)
{
	static const struct {
		const char *name;
		u32 offset, bytes;
		u64 value;
	} cases[] = {
		CASE("PG without PE", cr0, CR0_PG),
		CASE("NW without CD", cr0, CR0_PE | CR0_PG | CR0_NW),
		CASE("no PAE", cr4, 0),
		CASE("LMA lost", efer, EFER_LME),
		CASE("LMA without LME", efer, EFER_LMA),
		CASE("CS L and D", seg[SEG_CS].attr, 0xe9b),
		CASE("event type", event.injecting, HV_EVENT_VALID | 5u << 8),
		CASE("event vector", event.injecting, HV_EVENT_VALID | HV_EVENT_EXCEPTION | 32),
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vcpu *v = fresh();
		struct vcpu_state st = long_mode(v);

		memcpy((u8 *)&st + cases[i].offset, &cases[i].value, cases[i].bytes);
		if (set_state(v, &st, GROUPS))
			fail_msg("%s: refused", cases[i].name);
		if (!audit(v))
			fail_msg("%s: the audit finds nothing", cases[i].name);
	}
}

static void what_no_register_has_is_dropped(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_state st = long_mode(v);

	st.dr6 = st.dr7 = ~0ull;
	st.event.injecting = 0x20; /* not valid: nothing waits */
	assert_int_equal(set_state(v, &st, GROUPS), 0);
	assert_int_equal(v->priv->regs.dr6, 0xffffeff0 | 0xf);
	assert_int_equal(block.dr7, 0xffff27ff);
	assert_int_equal(block.event_inj, 0);
	assert_true(svm_can_inject(v, HV_EVENT_EXCEPTION | EXC_UD));
	get_state(v, &st, GROUPS);
	assert_int_equal(st.event.injecting, 0);
	st.event.injecting = ~EVENT_DEFINED | HV_EVENT_VALID | 0x20;
	assert_int_equal(set_state(v, &st, STATE_EVENT), 0);
	assert_int_equal(block.event_inj, HV_EVENT_VALID | 0x20);
	assert_null(audit(v));
}

/* INIT and SIPI get and set again what a guest left behind: that may never fail. */
static void what_a_guest_left_can_be_set_again(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_state st = long_mode(v);

	assert_int_equal(set_state(v, &st, GROUPS), 0);
	block.fs.base = block.kernel_gs_base = block.gdtr.base = 1ull << 63 | 0x1234;
	block.lstar = 1ull << 47;
	block.sfmask = 1ull << 32 | 0x700;
	get_state(v, &st, GROUPS);
	assert_int_equal(st.seg[SEG_FS].base, 0x1234);
	assert_int_equal(st.msr.lstar, 0xffff800000000000);
	assert_int_equal(st.msr.sfmask, 0x700);
	assert_int_equal(set_state(v, &st, GROUPS), 0);
}

static void a_record_tells_no_address_of_the_kernel(void **state)
{
	struct vcpu *v = fresh();
	struct vcpu_record r = {.vendor = RECORD_NONE};
	const struct vmcb *b = (const struct vmcb *)r.word;

	block.rip = 0x123456;
	block.iopm_base = 0x7fff001;
	block.msrpm_base = 0x8fff002;
	block.nested_cr3 = 1ull << 63 | 0x9fff003;
	svm_record(v, &r);
	assert_int_equal(r.vendor, RECORD_SVM);
	assert_int_equal(b->rip, 0x123456);
	assert_int_equal(b->iopm_base, 1);
	assert_int_equal(b->msrpm_base, 2);
	assert_int_equal(b->nested_cr3, 1ull << 63 | 3); /* no page's: wrong, and to be seen */
	assert_int_equal(block.nested_cr3, 1ull << 63 | 0x9fff003);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reserved_flags_are_dropped),
		cmocka_unit_test(reset_state_is_that_of_the_manual),
		cmocka_unit_test(what_is_set_is_got),
		cmocka_unit_test(what_a_guest_left_can_be_set_again),
		cmocka_unit_test(machine_checks_stay_on),
		cmocka_unit_test(a_bad_value_changes_nothing),
		cmocka_unit_test(only_what_concerns_paging_flushes),
		cmocka_unit_test(what_registers_must_keep_together_is_left_to_the_cpu),
		cmocka_unit_test(what_no_register_has_is_dropped),
		cmocka_unit_test(a_record_tells_no_address_of_the_kernel),
	};

	return cmocka_run_group_tests_name("svm_state", tests, NULL, NULL);
}
