/*
 * vm_irq_bind: a device process raises interrupts of a guest by an event, without the guest's
 * monitor. The root task of a test image, which is the monitor; boot option: rounds=N.
 */
#include "arch/apic.h"
#include "arch/msr.h"
#include "lib/string.h"
#include "tests/ring3/self.h"
#include "vmm/cpu_reset.h"

#define BOARD_VA 0x10000000ull
#define GUEST_VA 0x200000000ull
#define RUN_VA 0x21000000ull
#define GUEST_BYTES MiB(1)
#define CHILD_QUOTA MiB(48)
#define CHILD_BYTES MiB(16)		       /* of the memory of a VM whose monitor ends */
#define HANDLE_GIVEN ((handle_t)(1 << 16 | 1)) /* what the root task put into a child's table */
#define LIMIT 60000000000ull
#define POLL_NS 20000ull
#define ENTRY 0x200
#define OPCODE_HLT 0xf4
#define VECTOR(n) (0x40u + (n))
#define PORT(n) (0x80u + (n))
#define APIC_BASE_X2 (APIC_BASE_ENABLE | APIC_BASE_X2APIC)

enum role { ROLE_NONE, ROLE_DEVICE, ROLE_MONITOR };

/* Written by the monitor, but for `sent`. */
struct board {
	u64 rounds;
	volatile u64 sent, seen;
};
#define BOARD ((struct board *)BOARD_VA)

static handle_t vm, vcpu, event, board;
static struct vcpu_state state;

/* ---- The guest, in real mode: halts; each handler writes to a port of its own, then EOI ---- */

#define HANDLER(n, port)                                                                           \
	".org " n "\n"                                                                             \
	"outb %al, $" port "\n"                                                                    \
	"movl $0x80b, %ecx\n"                                                                      \
	"xorl %eax, %eax\n"                                                                        \
	"xorl %edx, %edx\n"                                                                        \
	"wrmsr\n"                                                                                  \
	"iret\n"

extern const u8 guest[], guest_end[];
__asm__(".section .rodata\n.code16\nguest:\n"
	"1: sti\nhlt\njmp 1b\n" HANDLER("guest + 0x40", "0x80") HANDLER("guest + 0x80", "0x81")
		HANDLER("guest + 0xc0", "0x82") "guest_end:\n.code64\n.text\n");
#define HANDLERS 3

static void must(s64 r, const char *what) { check(r >= 0, what, r); }

static void vm_make(void)
{
	handle_t mem = (handle_t)mem_create(GUEST_BYTES, MEM_GUEST);
	u32 *vectors = (u32 *)GUEST_VA;

	must(mem_map(HANDLE_SELF, mem, GUEST_VA, 0, GUEST_BYTES, PROT_R | PROT_W), "map");
	for (u32 n = 0; n < HANDLERS; n++)
		vectors[VECTOR(n)] = ENTRY + 0x40 * (n + 1);
	memcpy((void *)(GUEST_VA + ENTRY), guest, (size_t)((u64)guest_end - (u64)guest));
	vm = (handle_t)vm_create();
	must(mem_map(vm, mem, 0, 0, GUEST_BYTES, PROT_R | PROT_W), "guest memory");
	vcpu = (handle_t)vcpu_create(vm, 0, RUN_VA);
	cpu_power_on(&state, 0);
	state.seg[SEG_CS].base = state.seg[SEG_CS].selector = 0;
	state.rip = ENTRY;
	state.gpr[GPR_RSP] = 0x1000;
	state.apic.base |= APIC_BASE_X2;
	state.apic.reg[APIC_SVR >> 4] = APIC_SVR_ENABLE | 0xff;
	must(vcpu_set(vcpu, &state), "vcpu_set");
	handle_close(mem);
}

/* Where the CPU doesn't say how long HLT and WRMSR of real mode are, the monitor does. */
static void measure(struct run_emulate *e)
{
	state.groups = STATE_GPR;
	must(vcpu_get(vcpu, &state), "vcpu_get");
	e->insn_len = ((const u8 *)GUEST_VA)[state.rip % GUEST_BYTES] == OPCODE_HLT ? 1 : 2;
	e->carry_out = RUN_DO_EXIT;
}

/* Runs the guest until it has had an interrupt: its handler. */
static u32 run(void)
{
	struct vcpu_run *r = (struct vcpu_run *)RUN_VA;

	for (;;) {
		must(vcpu_run(vcpu), "vcpu_run");
		if (r->exit != RUN_EXIT_EMULATE || !r->emulate.length)
			break;
		measure(&r->emulate);
	}
	check(r->exit == RUN_EXIT_IO && r->io.port >= PORT(0) && r->io.port < PORT(HANDLERS),
	      "an exit of another kind", r->exit);
	return r->io.port - PORT(0);
}

static void expect_next(u32 handler, const char *what)
{
	u32 got = run();

	check(got == handler, what, got);
}

static s64 bind(u32 handler) { return vm_irq_bind(vm, event, MSI_ADDR_BASE, VECTOR(handler)); }

/* ---- By this task itself ---- */

static void binding(void)
{
	event_signal(event, 1);
	must(bind(0), "bind");
	expect_next(0, "what was signalled before");
	event_signal(event, 5);
	expect_next(0, "a signal");
	must(bind(1), "bind again");
	event_signal(event, 1);
	expect_next(1, "a signal behind another route");
	check(event_wait(event, DEADLINE_POLL) == -E_TIMEOUT, "a bound event keeps bits", 0);
	timer_set(event, rt_clock_ns() + 1000000);
	expect_next(1, "the event's timer");
	must(vm_irq_bind(vm, event, 0, 0), "unbind");
	event_signal(event, 4);
	vm_msi(vm, MSI_ADDR_BASE, VECTOR(2));
	expect_next(2, "behind the end of the binding a signal came as an interrupt");
	check(event_wait(event, DEADLINE_POLL) == 4, "its bits behind the end of the binding", 0);
}

static void refusals(void)
{
	handle_t port = (handle_t)port_create(),
		 deaf = (handle_t)handle_dup(event, R_SIGNAL, HANDLE_SELF),
		 weak = (handle_t)handle_dup(vm, R_INFO, HANDLE_SELF);

	check(vm_irq_bind(vm, port, MSI_ADDR_BASE, 0x40) == -E_TYPE, "a port is bound", 0);
	check(vm_irq_bind(vm, deaf, MSI_ADDR_BASE, 0x40) == -E_RIGHTS, "bound without R_WAIT", 0);
	check(vm_irq_bind(weak, event, MSI_ADDR_BASE, 0x40) == -E_RIGHTS, "bound without R_MANAGE",
	      0);
	check(vm_irq_bind(vm, event, MSI_ADDR_BASE, 0x8040) == -E_INVAL, "a level is bound", 0);
	handle_close(port);
	handle_close(deaf);
	handle_close(weak);
}

/* ---- By another domain, which has the event with R_SIGNAL and nothing else ---- */

static void device(void)
{
	for (u64 i = 1; i <= BOARD->rounds; i++) {
		while (BOARD->seen < i - 1)
			sleep_ns(POLL_NS);
		BOARD->sent = i;
		if (event_signal(HANDLE_GIVEN, 1))
			domain_exit(1);
	}
}

static handle_t child(const char *name, handle_t given, u32 rights, enum role role)
{
	s64 d = domain_create(CHILD_QUOTA, name), t;

	must(d, "domain_create");
	check(handle_dup(given, rights, (handle_t)d) == HANDLE_GIVEN, "handle_dup", 0);
	check(load((handle_t)d, board, BOARD_VA), "load", 0);
	t = start((handle_t)d, 0, role);
	must(t, "start");
	handle_close((handle_t)t);
	return (handle_t)d;
}

static void by_a_device(u64 rounds)
{
	handle_t d;
	s64 status;

	must(bind(0), "bind");
	*BOARD = (struct board){.rounds = rounds};
	d = child("a device process                ", event, R_SIGNAL, ROLE_DEVICE);
	for (u64 i = 1; i <= rounds; i++) {
		expect_next(0, "an interrupt of the device");
		check(BOARD->sent == i, "an interrupt more than the device has raised", (s64)i);
		BOARD->seen = i;
	}
	status = wait_end(d, LIMIT);
	check(!status, "the device ended with", status);
	handle_close(d);
}

/* ---- A monitor that ends while somebody else has the event ---- */

static void short_lived(void)
{
	s64 own = vm_create(), mem = mem_create(CHILD_BYTES, MEM_GUEST), vcpu;

	if (own < 0 || mem < 0 ||
	    mem_map((handle_t)own, (handle_t)mem, 0, 0, CHILD_BYTES, PROT_R) ||
	    mem_map(HANDLE_SELF, (handle_t)mem, GUEST_VA, 0, CHILD_BYTES, PROT_R))
		domain_exit(1);
	vcpu = vcpu_create((handle_t)own, 0, RUN_VA);
	if (vcpu < 0 || vcpu_run((handle_t)vcpu) != -E_STATE || /* it has none yet */
	    vm_irq_bind((handle_t)own, HANDLE_GIVEN, MSI_ADDR_BASE, 0x40))
		domain_exit(1);
	rt_populate((void *)GUEST_VA, CHILD_BYTES);
}

static void outlived(const struct balance *before)
{
	handle_t bound = (handle_t)event_create(),
		 d = child("a monitor that ends             ", bound, R_WAIT, ROLE_MONITOR);
	s64 status = wait_end(d, LIMIT);
	u64 end = rt_clock_ns() + LIMIT;

	check(!status, "the short-lived monitor ended with", status);
	handle_close(d);
	while (host().mem_free + MiB(4) < before->free && rt_clock_ns() < end)
		sleep_ns(POLL_NS);
	check(host().mem_free + MiB(4) >= before->free, "an event keeps a dead VM's memory", 0);
	must(event_signal(bound, 1), "a signal for a VM that is gone");
	handle_close(bound);
	balance_check(before, "after a VM that its event outlived", LIMIT);
}

static void root(const struct init_info *info)
{
	u64 rounds = option(info->cmdline, "rounds=", 1000);
	struct balance before;

	self_init("irqs", info->system);
	board = (handle_t)mem_create(PAGE_SIZE, 0);
	must(mem_map(HANDLE_SELF, board, BOARD_VA, 0, PAGE_SIZE, PROT_R | PROT_W), "map");
	event = (handle_t)event_create();
	vm_make();
	binding();
	refusals();
	by_a_device(rounds);
	before = balance_take();
	outlived(&before);
	handle_revoke(vm);
	must(event_signal(event, 1), "a signal for a VM that was destroyed");
	check(bind(0) == -E_DEAD, "a VM that was destroyed is bound", 0);
	say("PASS");
	finish(0);
}

int program_main(void *arg)
{
	u64 a = (u64)arg;

	if (a == INIT_INFO_VA)
		root(arg);
	if (a == ROLE_DEVICE)
		device();
	if (a == ROLE_MONITOR)
		short_lived();
	return 0;
}
