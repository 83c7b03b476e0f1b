/*
 * What the kernel does with a monitor's reply: it steps over an instruction at 4 GiB as the guest's
 * mode says; and one without its length, when the guest's memory is gone: the kernel knew it once,
 * and must not look where it lay. The root task of a test image.
 */
#include "lib/string.h"
#include "tests/ring3/self.h"
#include "vmm/cpu_reset.h"

#define GUEST_VA 0x200000000ull
#define RUN_VA 0x21000000ull
#define GUEST_BYTES MiB(2)
#define TABLES 0x1000
#define ENTRY 0x8000
#define WRITE (ENTRY + 2)
/* Attributes of flat segments */
#define CODE_64 0xa9b
#define CODE_32 0xc9b
#define DATA_32 0xc93

extern const u8 guest[], guest_end[];
/* What the kernel decodes and remembers; a write to where no memory is. */
__asm__(".section .rodata\nguest: cpuid\nmovb $0, 0x3fe00000\nguest_end:\n.text\n");

static struct vcpu_state state, now; /* set last; got last */
static handle_t vm;

static void must(s64 r, const char *what) { check(r >= 0, what, r); }

static handle_t begin(void)
{
	handle_t vcpu, mem = (handle_t)mem_create(GUEST_BYTES, MEM_GUEST);

	must(mem_map(HANDLE_SELF, mem, GUEST_VA, 0, GUEST_BYTES, PROT_R | PROT_W), "map");
	memcpy((void *)(GUEST_VA + ENTRY), guest, (size_t)((u64)guest_end - (u64)guest));
	must(mem_map(vm, mem, 0, 0, GUEST_BYTES, PROT_R | PROT_W), "guest memory");
	vcpu = (handle_t)vcpu_create(vm, 0, RUN_VA);
	cpu_power_on(&state, 0);
	guest_long_mode(&state, (u64 *)(GUEST_VA + TABLES), TABLES);
	must(vcpu_set(vcpu, &state), "vcpu_set");
	must(mem_unmap(HANDLE_SELF, GUEST_VA, GUEST_BYTES), "unmap");
	handle_close(mem);
	return vcpu;
}

/* Runs to the write; the kernel is to carry out a CPUID at rip instead. */
static void reply_cpuid(handle_t vcpu, u64 from, u64 rip, u8 length)
{
	struct vcpu_run *r = (struct vcpu_run *)RUN_VA;
	s64 ran;

	state.rip = from;
	must(vcpu_set(vcpu, &state), "vcpu_set");
	r->immediate = 0;
	must(vcpu_run(vcpu), "vcpu_run");
	check(r->exit == RUN_EXIT_EMULATE && !r->emulate.length, "the write is no exit", r->exit);
	if (!length)
		must(mem_unmap(vm, 0, GUEST_BYTES), "unmap the guest's");
	state.groups = STATE_GPR;
	state.rip = rip;
	must(vcpu_set(vcpu, &state), "vcpu_set of rip");
	r->emulate.carry_out = RUN_DO_CPUID;
	r->emulate.insn_len = length;
	r->immediate = 1;
	ran = vcpu_run(vcpu);
	check(ran == (length ? -E_INTR : 0), "vcpu_run with the reply", ran);
	now = (struct vcpu_state){.size = sizeof(now), .groups = STATE_GPR};
	must(vcpu_get(vcpu, &now), "vcpu_get");
}

static void expect_step(handle_t vcpu, u16 code, u64 expected)
{
	state.groups = STATE_GPR | STATE_SEG;
	state.seg[SEG_CS] = (struct seg_state){.attr = code, .limit = ~0u};
	state.seg[SEG_DS] = (struct seg_state){.attr = DATA_32, .limit = ~0u};
	reply_cpuid(vcpu, WRITE, 0xfffffffe, 2);
	check(now.rip == expected, "rip behind 4 GiB", (s64)now.rip);
}

static void expect_asked(void)
{
	const struct vcpu_run *r = (const struct vcpu_run *)RUN_VA;

	check(r->exit == RUN_EXIT_EMULATE, "an exit of another kind", r->exit);
	check(r->emulate.length, "no question for the length", 0);
	check(now.rip == ENTRY, "rip", (s64)now.rip);
}

int program_main(void *arg)
{
	const struct init_info *info = arg;
	handle_t vcpu;

	self_init("reply", info->system);
	vm = (handle_t)vm_create();
	vcpu = begin();
	expect_step(vcpu, CODE_64, 1ull << 32);
	expect_step(vcpu, CODE_32, 0);
	expect_step(vcpu, CODE_64, 1ull << 32);
	reply_cpuid(vcpu, ENTRY, ENTRY, 0);
	expect_asked();
	say("PASS");
	finish(0);
}
