// SOURCES: vmm/bus.c vmm/pic.c vmm/ioapic.c vmm/irq.c vmm/pit.c vmm/rtc.c vmm/uart.c vmm/acpi_pm.c
// SOURCES: vmm/pci.c vmm/exit_port.c vmm/reset_port.c vmm/fw_cfg.c vmm/cpu_hotplug.c vmm/state.c
// SOURCES: vmm/timer.c
// MAX_LEN: 2048
/*
 * All device models through their ports and registers, in time, and with saved state that somebody
 * has changed. What a load accepted must then serve any access.
 */
#include "tests/fuzz/fuzz.h"

#include "tests/host/vmm_pc.h"

static struct pc pc;
static struct fuzz_input in;

static u32 chance(struct pc *p) { return fuzz_u16(&in); }

/* A byte of one field's value in a section that state_save has written. */
static void patch_field(const struct device *d, u8 *section)
{
	u32 wanted = fuzz_u8(&in) % MAX(d->ops->field_count, 1u);
	size_t at = 1 + strlen(d->ops->name) + 8;

	for (u32 i = 0; i < d->ops->field_count; i++) {
		const struct state_field *f = &d->ops->fields[i];
		size_t bytes = (size_t)f->width * f->count;

		at += 1 + strlen(f->name) + 5;
		if (i == wanted)
			section[at + fuzz_u8(&in) % bytes] = fuzz_u8(&in);
		at += bytes;
	}
}

/* A device's own section with values changed or bytes over it, or bytes of the input alone. */
static void load_hostile(u8 n)
{
	static u8 section[4096];
	struct device *d = pc.all[n % DEVICES];
	size_t bytes = state_save(d, section, sizeof(section));
	u8 *exact, patches = fuzz_u8(&in);
	s64 r;

	FUZZ_CHECK(bytes <= sizeof(section), "%s: %zu bytes", d->ops->name, bytes);
	for (u32 i = patches & 7; i; i--)
		patch_field(d, section);
	if (n >= 0xe0) {
		bytes = fuzz_upto(&in, MIN(in.left, 255ull));
		fuzz_fill(&in, section, bytes);
	}
	for (u32 i = patches >= 0xc0 ? patches & 7 : 0; i && bytes; i--)
		section[fuzz_u16(&in) % bytes] = fuzz_u8(&in);
	exact = fuzz_exact(section, bytes);
	rt_lock(&d->lock);
	r = state_load(d, exact, bytes);
	rt_unlock(&d->lock);
	FUZZ_CHECK(r <= (s64)bytes, "%s: used %ld of %zu bytes", d->ops->name, r, bytes);
	free(exact);
}

static void pass_time(void)
{
	u32 rounds = 0;
	u64 ns = (u64)fuzz_u16(&in) << (fuzz_u8(&in) % 33), end = pc.f.now + ns;

	/* As the event thread does, and no longer than a monitor may take. */
	while (timers_next(&pc.f.timers) <= end && rounds++ < 1000) {
		pc.f.now = MAX(pc.f.now, timers_next(&pc.f.timers));
		timers_run(&pc.f.timers, pc.f.now);
		FUZZ_CHECK(timers_next(&pc.f.timers) > pc.f.now,
			   "a timer that is due again at once");
	}
	pc.f.now = end;
	timers_run(&pc.f.timers, pc.f.now);
}

static void access_register(u8 op)
{
	struct bus *b = op & 1 ? &pc.ports : &pc.mmio;
	const struct bus_range *r = &b->range[fuzz_u8(&in) % b->ranges];
	u64 addr = r->base + fuzz_u8(&in) % MIN(r->size + 1, 0x44);
	u32 size = 1u << (op >> 2 & (b == &pc.mmio ? 3 : 1));

	if (op & 2)
		bus_write(b, addr, size, fuzz_take(&in, size));
	else
		bus_read(b, addr, size);
}

static void step(void)
{
	u8 op = fuzz_u8(&in);
	s32 vector;

	switch (op >> 4) {
	case 0: pass_time(); break;
	case 1: uart_poll(&pc.uart); break;
	case 2:
		vector = irq_ack(&pc.irq);
		FUZZ_CHECK(vector >= -1 && vector <= 255, "vector %d", vector);
		break;
	case 3: irq_eoi(&pc.irq, fuzz_u8(&in)); break;
	case 4:
		if (op & 1)
			pc_hotplug(&pc);
		else
			acpi_pm_button(&pc.pm);
		break;
	case 5: load_hostile(fuzz_u8(&in)); break;
	default: access_register(op);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	in = (struct fuzz_input){data, n};
	pc_build(&pc);
	while (in.left)
		step();
	return 0;
}
