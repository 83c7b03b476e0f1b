// SOURCES: kernel/vlapic.c kernel/vlapic_ipi.c kernel/vlapic_timer.c
// SOURCES: vmm/cpu_reset.c
// MAX_LEN: 1024
/*
 * The local APICs of four vCPUs: registers by MSR and by page, messages, time, and state that a
 * monitor sets. Nothing asserts, no vector below 16 is ever pending, a timer is never armed for the
 * past for ever, and what is got can be set again.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/host/fake_vcpu.h"

#define VCPUS 4

static struct vm vm;
static struct vcpu vcpu[VCPUS];
static struct fuzz_input in;
static struct vcpu_state state;

static void build(void)
{
	memset(&vm, 0, sizeof(vm));
	memset(vcpu, 0, sizeof(vcpu));
	fake_now = 1000;
	fake_armed = NULL;
	for (u32 i = 0; i < VCPUS; i++) {
		vcpu[i].vm = &vm;
		vcpu[i].index = i;
		vcpu[i].lapic.page = fake_apic_page(i);
		vm.vcpu[i] = &vcpu[i];
		fake_apic_reset(&vcpu[i], false);
	}
}

/*
 * The fake has one timer at a time: of the vCPU used last. Fires it as often as time allows, a
 * hundred times at most.
 */
static void pass_time(void)
{
	u64 ns = (u64)fuzz_u16(&in) << (fuzz_u8(&in) & 31), end = fake_now + ns;

	for (u32 fired = 0; fake_armed && fake_armed->deadline <= end && fired < 100; fired++) {
		struct timer *t = fake_armed;

		fake_armed = NULL;
		t->armed = false;
		fake_now = MAX(fake_now, t->deadline);
		t->fn(t);
		FUZZ_CHECK(!fake_armed || fake_armed->deadline > fake_now, "armed for %lu at %lu",
			   fake_armed->deadline, fake_now);
	}
	fake_now = MAX(end, fake_now);
}

static void set_state(struct vcpu *v)
{
	u32 patches = fuzz_u8(&in) & 31;

	memset(&state, 0, sizeof(state));
	vlapic_get_state(v, &state);
	while (patches--)
		state.apic.reg[fuzz_u8(&in) % ARRAY_SIZE(state.apic.reg)] = fuzz_u32(&in);
	if (fuzz_u8(&in) & 1)
		state.apic.base = fuzz_u64(&in);
	vlapic_set_state(v, &state);
}

static void deliver(struct vcpu *v)
{
	u8 vector;

	vlapic_sync(v);
	vector = vlapic_pending(v);
	FUZZ_CHECK(!vector || vector >= 16, "vector %u is pending", vector);
	FUZZ_CHECK(!vlapic_deliverable(v) || vector, "nothing, but deliverable");
	if (vector)
		vlapic_taken(v, vector);
	vlapic_extint_pending(v);
}

/* A register of the page as the CPU leaves it there in xAPIC mode, whatever the guest wrote. */
static void written(struct vcpu *v)
{
	static const u16 by_cpu[] = {
		APIC_ID,	APIC_LDR,	  APIC_DFR,	   APIC_SVR,
		APIC_ESR,	APIC_LVT_CMCI,	  APIC_ICR,	   APIC_ICR_HIGH,
		APIC_LVT_TIMER, APIC_LVT_THERMAL, APIC_LVT_PMC,	   APIC_LVT_LINT0,
		APIC_LVT_LINT1, APIC_LVT_ERROR,	  APIC_TIMER_INIT, APIC_TIMER_DIVIDE};
	u16 offset = vlapic_x2apic(v) ? APIC_SELF_IPI : by_cpu[fuzz_u8(&in) % ARRAY_SIZE(by_cpu)];

	*vlapic_reg(v, offset) = vlapic_x2apic(v) ? fuzz_u8(&in) : fuzz_u32(&in);
	vlapic_written(v, offset);
}

static void step(void)
{
	u8 op = fuzz_u8(&in);
	struct vcpu *v = &vcpu[op >> 6];
	u64 value = 0;

	switch (op & 15) {
	case 0: pass_time(); break;
	case 1: set_state(v); break;
	case 2: deliver(v); break;
	case 3: vlapic_msi(&vm, 0xfee00000 | fuzz_u32(&in), fuzz_u32(&in)); break;
	case 4: fake_set_base(v, fuzz_u64(&in)); break;
	case 5: fake_set_base(v, APIC_DEFAULT_BASE | (u64)(fuzz_u8(&in) & 0xd) << 8); break;
	case 6: fake_apic_reset(v, op & 16); break;
	case 7: vlapic_post(v, 16 + fuzz_u8(&in) % 240, op & 16); break;
	case 8: vlapic_cr8_set(&v->lapic, fuzz_u8(&in) & 15); break;
	case 9: vlapic_msr_read(v, 0x800 + fuzz_u8(&in), &value); break;
	case 10:
	case 11:
		vlapic_msr_write(v, 0x800 + fuzz_u8(&in), op & 16 ? fuzz_u64(&in) : fuzz_u32(&in));
		break;
	case 12: vlapic_mmio_read(v, fuzz_u16(&in) & 0xfff); break;
	case 13: written(v); break;
	case 14:
		value = fake_now + v->tsc_offset + fuzz_u32(&in);
		if (op & 16)
			vlapic_timer_set(v, fuzz_u64(&in), op & 32 ? fuzz_u64(&in) : value);
		else
			vlapic_timer_write_deadline(v, value);
		break;
	default: vlapic_mmio_write(v, (u32)fuzz_u8(&in) << 4, fuzz_u32(&in)); break;
	}
	FUZZ_CHECK(*vlapic_reg(v, APIC_TPR) <= 0xff, "TPR %#x", *vlapic_reg(v, APIC_TPR));
	FUZZ_CHECK(v->lapic.eoi_exit < 0x200, "EOI of %#x", v->lapic.eoi_exit);
	v->lapic.eoi_exit = 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	in = (struct fuzz_input){data, n};
	build();
	while (in.left)
		step();
	return 0;
}
