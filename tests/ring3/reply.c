/*
 * A monitor that leaves an instruction to the kernel without its length, when the guest's memory is
 * gone: the kernel knew it once, and must not look where it lay. The root task of a test image.
 */
#include "lib/string.h"
#include "tests/ring3/self.h"
#include "vmm/cpu_reset.h"

#define GUEST_VA 0x200000000ull
#define RUN_VA 0x21000000ull
#define GUEST_BYTES MiB(2)
#define TABLES 0x1000
#define ENTRY 0x8000

extern const u8 guest[], guest_end[];
/* What the kernel decodes and remembers; a write to where no memory is. */
__asm__(".section .rodata\nguest: cpuid\nmovb $0, 0x3fe00000\nguest_end:\n.text\n");

static struct vcpu_state state;

static void must(s64 r, const char *what) { check(r >= 0, what, r); }

static handle_t begin(handle_t vm)
{
	handle_t vcpu, mem = (handle_t)mem_create(GUEST_BYTES, MEM_GUEST);

	must(mem_map(HANDLE_SELF, mem, GUEST_VA, 0, GUEST_BYTES, PROT_R | PROT_W), "map");
	memcpy((void *)(GUEST_VA + ENTRY), guest, (size_t)((u64)guest_end - (u64)guest));
	must(mem_map(vm, mem, 0, 0, GUEST_BYTES, PROT_R | PROT_W), "guest memory");
	vcpu = (handle_t)vcpu_create(vm, 0, RUN_VA);
	cpu_power_on(&state, 0);
	guest_long_mode(&state, (u64 *)(GUEST_VA + TABLES), TABLES);
	state.rip = ENTRY;
	must(vcpu_set(vcpu, &state), "vcpu_set");
	must(mem_unmap(HANDLE_SELF, GUEST_VA, GUEST_BYTES), "unmap");
	handle_close(mem);
	return vcpu;
}

static void expect_asked(handle_t vcpu)
{
	const struct vcpu_run *r = (const struct vcpu_run *)RUN_VA;

	check(r->exit == RUN_EXIT_EMULATE, "an exit of another kind", r->exit);
	check(r->emulate.length, "no question for the length", 0);
	state.groups = STATE_GPR;
	must(vcpu_get(vcpu, &state), "vcpu_get");
	check(state.rip == ENTRY, "rip", (s64)state.rip);
}

int program_main(void *arg)
{
	struct vcpu_run *r = (struct vcpu_run *)RUN_VA;
	const struct init_info *info = arg;
	handle_t vm, vcpu;

	self_init("reply", info->system);
	vm = (handle_t)vm_create();
	vcpu = begin(vm);
	must(vcpu_run(vcpu), "vcpu_run");
	check(r->exit == RUN_EXIT_EMULATE && !r->emulate.length, "the write is no exit", r->exit);
	must(mem_unmap(vm, 0, GUEST_BYTES), "unmap the guest's");
	state.groups = STATE_GPR;
	state.rip = ENTRY;
	must(vcpu_set(vcpu, &state), "vcpu_set of rip");
	r->emulate.carry_out = RUN_DO_CPUID;
	r->emulate.insn_len = 0;
	r->immediate = 1;
	must(vcpu_run(vcpu), "vcpu_run with the reply");
	expect_asked(vcpu);
	say("PASS");
	finish(0);
}
