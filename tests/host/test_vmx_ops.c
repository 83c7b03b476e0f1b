// SOURCES:
// CFLAGS: -Wno-sometimes-uninitialized
/*
 * What an entry of VT-x empties of the CPU before the guest runs, with a VMCS that is an array; and
 * a CPU on which the firmware holds VT-x locked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/msr.h"
#include "fake_vmcs.h"
#include "hv/cpu.h"
#include "mm/mm.h"

static u32 flushes, flushes_at_switch, verws, verws_at_switch, switches;

static u64 feature_control, allocations;
static bool writable; /* of the feature control */

static inline u64 fake_rdmsr(u32 msr) { return msr == MSR_FEATURE_CONTROL ? feature_control : 0; }
static inline bool fake_rdmsr_safe(u32 msr, u64 *v)
{
	*v = fake_rdmsr(msr);
	return true;
}
static inline void fake_wrmsr(u32 msr, u64 v)
{
	flushes += msr == MSR_FLUSH_CMD && v == 1;
	if (msr == MSR_FEATURE_CONTROL && writable)
		feature_control = v;
}
static inline void fake_verw(void) { verws++; }
static inline u64 fake_read_cr2(void) { return 0; }
static inline void fake_write_cr2(u64 v) {}
#define rdmsr fake_rdmsr
#define rdmsr_safe fake_rdmsr_safe
#define wrmsr fake_wrmsr
#define verw fake_verw
#define read_cr2 fake_read_cr2
#define write_cr2 fake_write_cr2
/* The file's own instructions of ring 0 do nothing. */
static volatile bool ring0;
#define __asm__                                                                                    \
	if (ring0)                                                                                 \
	__asm__
#include "vmx/vmx_ops.c"
#undef __asm__

struct vmx_caps vmx_caps;
struct cpu_facts cpu_facts;
struct guest_bits guest_bits;
struct pt_format pt_ept_format;
struct quota *const kernel_quota;

bool vmx_switch(struct vcpu_regs *regs, u64 *host_rsp, bool launched)
{
	switches++;
	flushes_at_switch = flushes;
	verws_at_switch = verws;
	return true;
}
void vmx_exit_point(void) {}
void vmx_tlb_prepare(struct vmx_vcpu *s) {}
void vmx_event_prepare(struct vmx_vcpu *s) {}
bool vmx_event_complete(struct vmx_vcpu *s, u32 reason) { return false; }
bool vmx_event_take(struct vmx_vcpu *s) { return false; }
void vmx_exit_decode(struct vmx_vcpu *s, u32 reason) {}

/* No test comes to these. */
u64 clock_ns(void) { return 0; }
u64 clock_to_tsc(u64 ns) { return ns; }
void *kmem_alloc(struct quota *q, size_t n)
{
	allocations++;
	return NULL;
}
void kmem_free(struct quota *q, void *p, size_t n) {}
hpa_t kva_to_hpa(const void *p) { return hpa(0); }
int pt_map(struct pt *pt, u64 va, hpa_t a, u64 bytes, u32 prot) { return 0; }
hpa_t vmx_msr_bitmap(bool x2apic) { return hpa(0); }
void vmx_bitmap_init(void) {}
const char *vmx_negotiate(const struct cpu_facts *f, struct vmx_caps *c) { return NULL; }
void vmx_fallbacks(void) {}
bool vmx_probe(const struct cpu_facts *f, const char **why) { return true; }
void vmx_features(char *buf, size_t size) {}
void vmx_get_state(struct vcpu *v, struct vcpu_state *st, u32 groups) {}
void vmx_set_state(struct vcpu *v, const struct vcpu_state *st, u32 groups) {}
void vmx_read_mode(struct vcpu *v, struct hv_mode *m) {}
void vmx_end_shadow(struct vcpu *v) {}
void vmx_offer_irq(struct vcpu *v, u8 vector) {}
void vmx_inject(struct vcpu *v, u32 event, u32 error) {}
bool vmx_can_inject(struct vcpu *v, u32 event) { return true; }
void vmx_want_window(struct vcpu *v, u32 event) {}
void vmx_record(struct vcpu *v, struct vcpu_record *r) {}

static struct vmx_private private[2];
static struct vmx_cpu cpu;
static struct vmx_vcpu vcpu[2];

static void fresh(u32 spec)
{
	cpu_facts.spec = spec;
	memset(private, 0, sizeof(private));
	for (u32 i = 0; i < ARRAY_SIZE(vcpu); i++)
		vcpu[i] = (struct vmx_vcpu){.vcpu.priv = &private[i].common, .cpu = &cpu};
	flushes = verws = switches = 0;
}

/* How often the cache was emptied before the guest ran. */
static u32 flushes_of_entry(u32 v)
{
	u32 before = flushes, entered = switches;

	assert_false(vmx_ops.enter(&vcpu[v].vcpu));
	assert_int_equal(switches, entered + 1);
	assert_int_equal(flushes, flushes_at_switch);
	return flushes - before;
}

static void the_cache_is_empty_for_a_guest_after_others(void **state)
{
	fresh(SPEC_L1D);
	assert_int_equal(flushes_of_entry(0), 1); /* the first */
	assert_int_equal(flushes_of_entry(0), 0); /* after an exit */
	vmx_ops.vcpu_rest(&vcpu[0].vcpu);	  /* ring 3 runs */
	assert_int_equal(flushes_of_entry(0), 1);
	vmx_ops.vcpu_unload(&vcpu[0].vcpu);
	assert_int_equal(flushes_of_entry(1), 1); /* another guest */
	vmx_ops.vcpu_unload(&vcpu[1].vcpu);
	assert_int_equal(flushes_of_entry(0), 1);
	assert_int_equal(flushes_of_entry(0), 0);
}

static void the_buffers_are_empty_at_each_entry(void **state)
{
	fresh(SPEC_BUFFERS);
	for (u32 i = 1; i <= 3; i++) {
		flushes_of_entry(0);
		assert_int_equal(verws, i);
		assert_int_equal(verws_at_switch, i);
	}
}

static void a_cpu_that_needs_neither_has_neither(void **state)
{
	fresh(0);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(flushes_of_entry(0), 0);
		assert_int_equal(verws, 0);
		vmx_ops.vcpu_rest(&vcpu[0].vcpu);
	}
}

/* -E_NOMEM: it has come to the region, which is not there here. */
static void a_locked_cpu_is_told_from_one_without_memory(void **state)
{
	static const struct {
		u64 before;
		bool writable;
		int want;
		u64 after;
	} cases[] = {
		{0, true, -E_NOMEM, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX},
		{FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX, false, -E_NOMEM,
		 FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX},
		{FEATURE_CONTROL_LOCK, true, -E_NODEV, FEATURE_CONTROL_LOCK},
		{0, false, -E_NODEV, 0},
	};
	struct cpu c = {.id = 1};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		feature_control = cases[i].before;
		writable = cases[i].writable;
		allocations = 0;
		assert_int_equal(vmx_ops.cpu_enable(&c), cases[i].want);
		assert_int_equal(feature_control, cases[i].after);
		assert_int_equal(allocations, cases[i].want == -E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cache_is_empty_for_a_guest_after_others),
		cmocka_unit_test(the_buffers_are_empty_at_each_entry),
		cmocka_unit_test(a_cpu_that_needs_neither_has_neither),
		cmocka_unit_test(a_locked_cpu_is_told_from_one_without_memory),
	};

	return cmocka_run_group_tests_name("vmx_ops", tests, NULL, NULL);
}
