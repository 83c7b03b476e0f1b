#include "vmm/vcpu.h"

#include "arch/msr.h"
#include "audit/audit.h"
#include "lib/fmt.h"
#include "lib/guest_rules.h"
#include "lib/string.h"
#include "user/sys.h"
#include "vmm/cpu_reset.h"
#include "vmm/dump.h"
#include "vmm/flat.h"

#define REFUSALS_MAX 64u

static struct vcpu *of(struct emul *e) { return container_of(e, struct vcpu, emul); }

/* ---- The local APIC's page, for instructions that the kernel doesn't decode ---- */

static bool on_apic_page(const struct vcpu *v, u64 gpa)
{
	const struct vcpu_run *r = v->run;

	return r->exit == RUN_EXIT_EMULATE && r->emulate.apic &&
	       gpa / PAGE_SIZE == r->emulate.gpa / PAGE_SIZE;
}

/* Of 16 bytes the first four are a register's. */
static u64 apic_read(struct vcpu *v, u64 gpa)
{
	u32 at = gpa % PAGE_SIZE, reg = at / 16;

	v->held.size = sizeof(v->held);
	v->held.groups = STATE_APIC;
	if (at % 16 >= 4 || reg >= ARRAY_SIZE(v->held.apic.reg) || vcpu_get(v->handle, &v->held))
		return 0;
	return v->held.apic.reg[reg] >> at % 4 * 8;
}

/* SDM 3, "APIC Register Address Map": what is not of 32 bits is undefined; here it is nothing. */
static void apic_write(struct vcpu *v, u64 gpa, u32 size, u64 value)
{
	struct run_emulate *r = &v->run->emulate;

	if (size != sizeof(r->value))
		return;
	if (r->carry_out)
		rt_log("the instruction at rip %#llx writes to the local APIC more than once: the "
		       "last time counts",
		       (unsigned long long)v->state.rip);
	r->carry_out = RUN_DO_APIC_WRITE;
	r->gpa = gpa;
	r->value = (u32)value;
	v->emul.interrupted = true;
}

/* ---- What the emulator asks for ---- */

static void *emul_ram(struct emul *e, u64 gpa, u64 bytes)
{
	struct vcpu *v = of(e);

	return on_apic_page(v, gpa) ? NULL : ram_ptr(&v->m->ram, gpa, bytes);
}

static u64 emul_mmio_read(struct emul *e, u64 gpa, u32 size)
{
	struct vcpu *v = of(e);

	return on_apic_page(v, gpa) ? apic_read(v, gpa) : bus_read(&v->m->mmio, gpa, size);
}
static void emul_mmio_write(struct emul *e, u64 gpa, u32 size, u64 value)
{
	struct vcpu *v = of(e);

	if (on_apic_page(v, gpa))
		apic_write(v, gpa, size, value);
	else
		bus_write(&v->m->mmio, gpa, size, value);
}
static u32 emul_io_in(struct emul *e, u16 port, u32 size)
{
	return (u32)bus_read(&of(e)->m->ports, port, size);
}
static void emul_io_out(struct emul *e, u16 port, u32 size, u32 v)
{
	bus_write(&of(e)->m->ports, port, size, v);
}
static void emul_bus_lock(struct emul *e, bool on)
{
	if (on)
		rt_lock(&of(e)->m->bus_lock);
	else
		rt_unlock(&of(e)->m->bus_lock);
}

/* Which bits there are the kernel knows; what they must keep together it leaves to the CPU. */
static bool emul_set_control(struct emul *e)
{
	static const struct guest_bits any = {~0ull, ~0ull, ~0ull};
	struct vcpu *v = of(e);
	struct vcpu_state *s = &v->state;

	s->groups = STATE_CR;
	return !cr_broken(&any, s->cr0, s->cr4, s->efer) && !vcpu_set(v->handle, s);
}
static enum emul_result emul_access_msr(struct emul *e, u32 msr, bool write, u64 *value)
{
	return msr_access(of(e), msr, write, value);
}

static const struct emul_ops emul_callbacks = {
	.ram = emul_ram,
	.mmio_read = emul_mmio_read,
	.mmio_write = emul_mmio_write,
	.io_in = emul_io_in,
	.io_out = emul_io_out,
	.bus_lock = emul_bus_lock,
	.set_control = emul_set_control,
	.msr = emul_access_msr,
};

static void fail(struct vcpu *v) { machine_end(v->m, VM_REASON_INTERNAL, VM_STATUS_INTERNAL); }

static void exit_io(struct vcpu *v)
{
	struct vcpu_run *r = v->run;

	if (r->io.in)
		r->io.data = (u32)bus_read(&v->m->ports, r->io.port, r->io.size);
	else
		bus_write(&v->m->ports, r->io.port, r->io.size, r->io.data);
}

static void report_unsupported(struct vcpu *v)
{
	const struct emul *e = &v->emul;
	char bytes[INSN_MAX * 3 + 1] = "", where[32] = "";

	for (u32 i = 0; i < e->byte_count && i < INSN_MAX; i++)
		fmt_snprintf(bytes + i * 3, 4, " %02x", e->bytes[i]);
	if (!v->run->emulate.mode)
		fmt_snprintf(where, sizeof(where), " for address %#llx",
			     (unsigned long long)v->run->emulate.gpa);
	rt_log("cannot emulate the instruction at rip %#llx%s:%s: %s",
	       (unsigned long long)v->state.rip, where, bytes, e->why ? e->why : "no reason given");
}

/*
 * Another vCPU may have changed the code or its mapping since the exit. So the guest runs it again:
 * only what comes back unchanged, with the same registers, again and again can't be emulated.
 */
static bool refused_for_good(struct vcpu *v)
{
	const struct emul *e = &v->emul;
	struct refused now = {.rip = v->state.rip};

	memcpy(now.gpr, v->state.gpr, sizeof(now.gpr));
	memcpy(now.bytes, e->bytes, MIN(e->byte_count, INSN_MAX));
	if (memcmp(&v->refused, &now, sizeof(now)))
		v->refusals = 0;
	v->refused = now;
	/* each time it takes longer: whoever changes the code may be in step with it */
	for (volatile u32 i = 0; i < v->refusals * 16; i++)
		;
	return ++v->refusals == REFUSALS_MAX;
}

/* False: it can't be done; the log says why. */
static bool emulate(struct vcpu *v)
{
	struct run_emulate *reply = &v->run->emulate;
	enum emul_result r = reply->length ? emul_measure(&v->emul) : emul_step(&v->emul);

	if (r != EMUL_UNSUPPORTED) {
		if (reply->length && r == EMUL_OK) {
			reply->insn_len = v->emul.insn.length;
			reply->carry_out = RUN_DO_EXIT;
		}
		v->refusals = 0;
		return true;
	}
	reply->carry_out = RUN_DO_NOTHING; /* what came before in this step is undone too */
	if (!refused_for_good(v))
		return true;
	report_unsupported(v);
	return false;
}

s64 vcpu_read(struct vcpu *v, u32 groups)
{
	v->state.size = sizeof(v->state);
	v->state.groups = groups;
	return vcpu_get(v->handle, &v->state);
}

/* What the emulator has changed goes back; err: an earlier error. */
static void write_state(struct vcpu *v, s64 err)
{
	v->state.groups = v->emul.dirty;
	if (!err && v->state.groups)
		err = vcpu_set(v->handle, &v->state);
	if (!err)
		return;
	rt_log("vCPU state: %s", rt_error(err));
	fail(v);
}

/*
 * The CPU can't run the guest's mode. So many instructions at a time: between them the kernel looks
 * for interrupts, and whether the vCPU shall stop.
 */
static void run_mode(struct vcpu *v)
{
	enum { STEPS = 256 };
	s64 err = vcpu_read(v, EMUL_GROUPS | STATE_CLOCK);
	enum emul_result r = EMUL_OK;

	if (!err) {
		v->emul.tsc_offset = v->state.clock.tsc_offset;
		r = emul_run(&v->emul, STEPS);
	}
	if (r == EMUL_UNSUPPORTED) {
		report_unsupported(v);
		fail(v);
	} else if (r == EMUL_SHUTDOWN) {
		machine_end(v->m, VM_REASON_TRIPLE_FAULT, VM_STATUS_TRIPLE_FAULT);
	} else {
		write_state(v, err);
		v->run->emulate.carry_out = r == EMUL_KERNEL ? v->emul.carry_out : 0;
		v->run->emulate.insn_len = v->emul.insn.length;
	}
}

static void exit_task_switch(struct vcpu *v)
{
	struct run_task t = v->run->task;
	s64 err = vcpu_read(v, EMUL_GROUPS);

	if (!err && emul_task_switch(&v->emul, &t) == EMUL_UNSUPPORTED) {
		rt_log("cannot switch to task %#x at rip %#llx: %s", t.selector,
		       (unsigned long long)v->state.rip, v->emul.why);
		fail(v);
		return;
	}
	write_state(v, err);
}

static void exit_emulate(struct vcpu *v)
{
	struct vcpu_state *s = &v->state;
	s64 err;

	if (v->run->emulate.mode) {
		run_mode(v);
		return;
	}
	err = vcpu_read(v, EMUL_GROUPS);
	if (!err && flat_table_wanted(v->run, s->cr0)) {
		err = flat_table_provide(v->m);
		if (err) {
			rt_log("the table for a guest without paging, at %#llx: %s",
			       (unsigned long long)VM_FLAT_TABLE, rt_error(err));
			fail(v);
		}
		return;
	}
	if (!err && v->run->emulate.fetch) {
		rt_log("the guest executes at rip %#llx, address %#llx, where it has no memory",
		       (unsigned long long)s->rip, (unsigned long long)v->run->emulate.gpa);
		fail(v);
		return;
	}
	if (!err && !emulate(v)) {
		fail(v);
		return;
	}
	write_state(v, err);
}

static void exit_reset(struct vcpu *v)
{
	struct vcpu_state *s = &v->state;
	s64 err = vcpu_read(v, CPU_INIT_GROUPS | STATE_MSR);

	v->emul.dirty = STATE_GPR | STATE_SEG | STATE_EVENT;
	if (v->run->reset.init) {
		cpu_init(s);
		v->emul.dirty = CPU_INIT_GROUPS | STATE_MSR;
	}
	if (v->run->reset.sipi && !(s->apic.base & APIC_BASE_BSP))
		cpu_sipi(s, v->run->reset.vector);
	write_state(v, err);
}

static void exit_eoi(struct vcpu *v) { irq_eoi(&v->m->irq, (u8)v->run->eoi.vector); }
static void exit_extint(struct vcpu *v) { v->run->extint.vector = irq_ack(&v->m->irq); }

/* Somebody has kicked the vCPU: to be looked at here. */
static void exit_intr(struct vcpu *v)
{
	s64 err = pause_here(v);

	v->run->immediate = 0;
	if (!err)
		err = cpus_stand(v);
	if (!err)
		return;
	rt_log("vCPU %u: its state around a pause or hot-plug: %s", v->index, rt_error(err));
	fail(v);
}

static void exit_shutdown(struct vcpu *v)
{
	machine_end(v->m, VM_REASON_TRIPLE_FAULT, VM_STATUS_TRIPLE_FAULT);
}

static void say(const char *line) { rt_log("%s", line); }

static void exit_internal(struct vcpu *v)
{
	static const char *const why[] = {
		[RUN_INTERNAL_ENTRY] = "the CPU refused the guest's state",
		[RUN_INTERNAL_UNKNOWN] = "the kernel doesn't know this exit",
		[RUN_INTERNAL_MEMORY] = "no memory left within the quota",
		[RUN_INTERNAL_MC] = "a machine check while the guest ran",
	};
	u32 code = v->run->internal.code;

	audit_report(&v->run->record, code == RUN_INTERNAL_ENTRY, say);
	if (!vcpu_read(v, DUMP_GROUPS))
		dump_state(&v->state);
	rt_log("the vCPU cannot go on: %s",
	       code < ARRAY_SIZE(why) && why[code] ? why[code] : "unknown code");
	fail(v);
}

static void (*const exits[])(struct vcpu *) = {
	[RUN_EXIT_NONE] = NULL,
	[RUN_EXIT_INTR] = exit_intr,
	[RUN_EXIT_IO] = exit_io,
	[RUN_EXIT_EMULATE] = exit_emulate,
	[RUN_EXIT_TASK_SWITCH] = exit_task_switch,
	[RUN_EXIT_RESET] = exit_reset,
	[RUN_EXIT_EOI] = exit_eoi,
	[RUN_EXIT_EXTINT] = exit_extint,
	[RUN_EXIT_SHUTDOWN] = exit_shutdown,
	[RUN_EXIT_INTERNAL] = exit_internal,
};
static_assert(ARRAY_SIZE(exits) == RUN_EXITS, "an exit has no handler");

void vcpu_loop(struct vcpu *v)
{
	while (!machine_ended(v->m)) {
		s64 err = vcpu_run(v->handle);
		u32 exit = v->run->exit;

		if (unlikely(err && err != -E_INTR)) {
			rt_log("vcpu_run: %s", rt_error(err));
			fail(v);
		} else if (unlikely(exit >= RUN_EXITS || !exits[exit])) {
			rt_log("vcpu_run: exit %u is unknown here", exit);
			fail(v);
		} else {
			exits[exit](v);
		}
	}
}

int vcpu_init(struct vcpu *v, struct machine *m, u32 index)
{
	u64 va = rt_va_reserve(PAGE_SIZE);
	s64 h = va ? vcpu_create(m->vm, index, va) : -E_NOMEM;

	if (h < 0) {
		rt_log("vCPU %u: %s", index, rt_error(h));
		return (int)h;
	}
	v->m = m;
	v->handle = (handle_t)h;
	v->run = (struct vcpu_run *)va;
	v->emul.s = &v->state;
	v->emul.ops = &emul_callbacks;
	v->emul.xcr0 = m->xcr0;
	v->emul.phys_bits = (u8)cpuid(0x80000008, 0).eax;
	v->index = index;
	msr_init(&v->msr);
	m->vcpu[index] = v->handle;
	h = event_create();
	if (h < 0) {
		rt_log("vCPU %u: event: %s", index, rt_error(h));
		return (int)h;
	}
	m->pause.gate[index] = (handle_t)h;
	if (v->run->version != UAPI_VERSION) {
		rt_log("vCPU %u: run page version %u, expected %u", index, v->run->version,
		       UAPI_VERSION);
		return -E_INVAL;
	}
	cpu_power_on(&v->state, index);
	v->state.groups |= STATE_CLOCK;
	v->state.clock.tsc_offset = -m->clock.start_tsc; /* the guest's TSC starts at 0 */
	h = vcpu_set(v->handle, &v->state);
	if (h)
		rt_log("vCPU %u: first state: %s", index, rt_error(h));
	return (int)h;
}
