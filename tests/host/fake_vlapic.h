/* vCPUs of a VM with their local APICs, after reset and software-enabled. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "fake_vcpu.h"

static struct vm vm;
static struct vcpu vcpu[20];

static void x2apic_on(struct vcpu *v) { fake_set_base(v, v->apic_base | APIC_BASE_X2APIC); }

/* n vCPUs after reset, software-enabled. */
static int setup_n(u32 n, bool x2)
{
	memset(&vm, 0, sizeof(vm));
	memset(vcpu, 0, sizeof(vcpu));
	fake_now = 1000;
	fake_armed = NULL;
	fake_kicks = 0;
	for (u32 i = 0; i < n; i++) {
		struct vcpu *v = &vcpu[i];

		v->vm = &vm;
		v->index = i;
		v->lapic.page = fake_apic_page(i);
		vm.vcpu[i] = v;
		fake_apic_reset(v, false);
		vlapic_mmio_write(v, APIC_SVR, 0x1ff);
		if (x2)
			x2apic_on(v);
	}
	return 0;
}

static inline int setup(void **state) { return setup_n(1, false); }
static inline int setup_x2(void **state) { return setup_n(20, true); }
static inline int setup_xapic(void **state) { return setup_n(4, false); }

static inline int teardown(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(vcpu); i++)
		vlapic_timer_stop(&vcpu[i]);
	return 0;
}

static inline bool irr_has(struct vcpu *v, u8 n)
{
	vlapic_sync(v);
	return *vlapic_word(&v->lapic, APIC_IRR, n) >> n % 32 & 1;
}
