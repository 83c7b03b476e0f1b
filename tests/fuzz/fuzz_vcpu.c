// SOURCES: kernel/vcpu.c kernel/vcpu_exit.c kernel/vcpu_state.c
// SOURCES: kernel/pv.c kernel/vlapic.c kernel/vlapic_ipi.c
// SOURCES: kernel/vlapic_timer.c kernel/guest_walk.c kernel/exit_insn.c svm/svm_state.c
// SOURCES: svm/svm_inject.c svm/svm_record.c svm/svm_exit.c svm/svm_tlb.c
// SOURCES: vmm/cpu_reset.c audit/audit.c audit/svm_audit.c audit/vmx_audit.c lib/guest_rules.c
// SOURCES: lib/fmt.c
// MAX_LEN: 4096
/*
 * A vCPU between a hostile monitor and a hostile guest: the real run loop, exits, state groups,
 * local APIC, guest page walk and VMCB code of ring 0, with a world switch whose exits the input
 * chooses. No assert is reached, every entry is with a state that VMRUN accepts unless the monitor
 * has set another, in which the guest may run all the same, the run page never steers the kernel,
 * and what vcpu_get gives vcpu_set takes.
 */
#include "tests/fuzz/fuzz.h"

#include "arch/msr.h"
#include "audit/audit.h"
#include "kernel/domain.h"
#include "kernel/main.h"
#include "kernel/mce.h"
#include "kernel/sched.h"
#include "kernel/smp.h"
#include "kernel/syscall.h"
#include "kernel/thread.h"
#include "kernel/vcpu_run.h"
#include "kernel/vlapic.h"
#include "lib/guest_rules.h"
#include "mm/ucopy.h"
#include "mm/window.h"
#include "svm/svm.h"
#include "tests/host/fake_cpu.h"
#include "vmm/cpu_reset.h"

#define PAGES 16u
#define HPA 0x100000000ull

struct cpu_facts cpu_facts = {.svm_asids = 16, .phys_bits = 40, .xcr0_supported = 7};
struct guest_bits guest_bits = {
	.cr4 = CR4_PAE | CR4_PGE | CR4_PSE | CR4_PCIDE | CR4_SMEP | CR4_DE | CR4_OSXSAVE | CR4_MCE,
	.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
	.xcr0 = 7,
};
struct bootinfo bootinfo;
u32 cpu_count = 1;
struct cpu *cpus[MAX_CPUS] = {&fake_cpu};

static struct fuzz_input in;
static struct domain domain;
static struct thread thread = {.domain = &domain};
static struct vm vm;
static struct svm_vcpu vcpus[2];
static struct vmcb blocks[2];
static struct vcpu_private privates[2];
static struct vcpu_run run_pages[2];
static u32 apic_pages[2][PAGE_SIZE / sizeof(u32)];
static struct vcpu_state scratch[2];
static bool refusable[2]; /* the monitor has set a state that VMRUN may refuse */
static struct svm_cpu svm_cpu;
static u8 memory[PAGES * PAGE_SIZE] __aligned(4096);

/* The monitor's buffer; its address is what the calls get. */
static struct vcpu_state user;

/* ---- The rest of the kernel ---- */

static u64 now;

u64 clock_ns(void) { return now += 1000; }
u64 clock_until_tsc(u64 value, u64 offset) { return value > now ? value - now : 0; }
void log_line(enum log_level level, const char *fmt, ...) {}
void timer_arm(struct timer *t, u64 deadline)
{
	t->armed = true;
	t->deadline = deadline;
}
void timer_cancel(struct timer *t) { t->armed = false; }
void object_get(struct object *o) {}
void object_put(struct object *o) {}
void *object_new(enum obj_type type, size_t bytes, struct quota *q) { return NULL; }
s64 handle_install(struct domain *d, struct object *o, u32 rights) { return -E_NOMEM; }
void *kmem_alloc(struct quota *q, size_t n) { return NULL; }
void kmem_free(struct quota *q, void *p, size_t n) {}
int aspace_map_kernel_page(struct aspace *as, u64 va, void *page, u32 prot) { return -E_NOMEM; }
void aspace_unmap_kernel_page(struct aspace *as, u64 va) {}
void *kpriv_alloc(struct aspace *as, hpa_t *first) { return NULL; }
void kpriv_free(struct aspace *as, void *p) {}
void smp_ipi(u32 cpu, u32 bits) {}
void lapic_ipi(u32 apic_id, u8 vector) {}
void trap_handler(struct trap_frame *f) {}
void preempt_point(void) { fake_cpu.resched = 0; }
void sched_yield(void) { fake_cpu.resched = 1; }
void thread_block_prepare(void) {}
void thread_block_cancel(void) {}
void thread_wake(struct thread *t) {}
bool mce_take(bool in_kernel) { return true; }
void sched_set_affinity(struct thread *t, u64 mask) {}
bool thread_must_leave(void) { return !in.left; }
int thread_block(u64 deadline) { return fuzz_u8(&in) & 1 && in.left ? 0 : -E_INTR; }
bool fpu_xcr0_valid(u64 x) { return x == 1 || x == 3 || x == 7; }
void fpu_set_xcr0(struct vcpu *v, u64 x) { v->xcr0 = x; }
void fpu_load(struct vcpu *v) {}
void fpu_unload(struct vcpu *v) {}
void fpu_init_area(struct vcpu *v) {}
void fpu_set(struct vcpu *v, const u8 *area) {}
void fpu_get(struct vcpu *v, u8 *area) {}
void assert_fail(const char *e, const char *f, int l)
{
	FUZZ_CHECK(false, "assert %s at %s:%d", e, f, l);
	abort();
}
void panic(const char *fmt, ...)
{
	FUZZ_CHECK(false, "panic: %s", fmt);
	abort();
}

int ucopy_in(void *to, u64 from, size_t n)
{
	u64 offset = from - (u64)&user;

	if (offset > sizeof(user) || n > sizeof(user) - offset)
		return -E_FAULT;
	memcpy(to, (u8 *)&user + offset, n);
	return 0;
}

int ucopy_out(u64 to, const void *from, size_t n)
{
	u64 offset = to - (u64)&user;

	if (offset > sizeof(user) || n > sizeof(user) - offset)
		return -E_FAULT;
	memcpy((u8 *)&user + offset, from, n);
	return 0;
}

bool aspace_lookup(struct aspace *as, u64 a, u32 prot, hpa_t *out)
{
	if (a >= sizeof(memory))
		return false;
	*out = hpa(HPA + a);
	return true;
}

void *window_map(enum window w, hpa_t a)
{
	FUZZ_CHECK(w >= WINDOW_GUEST_WALK && w < WINDOWS, "window %u", w);
	FUZZ_CHECK(a.v - HPA < sizeof(memory), "frame %#lx", a.v);
	return memory + (a.v - HPA);
}

void window_unmap(enum window w) {}
enum fault aspace_fault(struct aspace *as, u64 a, u32 pf_error) { return fuzz_u8(&in) % 4; }

/* ---- The guest: what runs between VMRUN and the exit ---- */

static void scribble(struct vcpu_run *run)
{
	u8 *p = (u8 *)run;

	for (u32 n = fuzz_u8(&in) & 7; n; n--)
		p[fuzz_u8(&in) % offsetof(struct vcpu_run, record)] = fuzz_u8(&in);
}

/* Loads of segment registers and unintercepted MSRs and CR3, as far as a CPU lets them be. */
static void guest_changes_state(struct vmcb *b)
{
	struct vmcb_seg *seg = &b->es + fuzz_u8(&in) % 6;

	switch (fuzz_u8(&in) & 7) {
	case 0:
		seg->selector = fuzz_u16(&in);
		seg->attrib = fuzz_u16(&in) & 0xfff;
		seg->limit = fuzz_u32(&in);
		seg->base = fuzz_u64(&in);
		if (b->efer & EFER_LMA && b->cs.attrib & SEG_ATTR_L)
			b->cs.attrib &= (u16)~SEG_ATTR_DB; /* that CS raises #GP in long mode */
		break;
	case 1: b->cr3 = fuzz_u64(&in) & 0xffffffffff; break;
	case 2: b->lstar = fuzz_u64(&in); break;
	case 3: b->kernel_gs_base = fuzz_u64(&in); break;
	case 4: b->gdtr = (struct vmcb_seg){.limit = fuzz_u16(&in), .base = fuzz_u64(&in)}; break;
	case 5: b->cpl = fuzz_u8(&in) & 3; break;
	case 6: b->dr6 = 0xffff0ff0 | (fuzz_u16(&in) & 0xe00f); break;
	default: b->cr2 = fuzz_u64(&in); break;
	}
}

/* Code where rip is, and perhaps entries of tables anywhere. */
static void guest_writes_memory(struct vmcb *b)
{
	static const u8 code[][4] = {
		{0x0f, 0x22, 0xc0}, {0x0f, 0x22, 0xd8},
		{0x0f, 0x22, 0xe0}, {0x44, 0x0f, 0x22, 0xc0},
		{0x0f, 0x20, 0xd8}, {0x0f, 0x01, 0xf0},
		{0x0f, 0x01, 0x37}, {0x0f, 0x06},
		{0x0f, 0x23, 0xf8}, {0x0f, 0x21, 0xf0},
		{0x0f, 0xa2},	    {0x0f, 0x30},
		{0x0f, 0x32},	    {0x89, 0x07},
		{0x8b, 0x07},	    {0xf4},
	};
	u32 at = fuzz_u16(&in) % (sizeof(memory) - 16), kind = fuzz_u8(&in);

	if (kind & 16)
		memcpy(memory + at, code[kind & 15], sizeof(code[0]));
	else
		fuzz_fill(&in, memory + at, kind & 15);
	if (fuzz_u8(&in) & 1)
		b->rip = at;
}

static void choose_exit(struct vmcb *b)
{
	static const u16 codes[] = {
		VMEXIT_CPUID,
		VMEXIT_HLT,
		VMEXIT_MSR,
		VMEXIT_IOIO,
		VMEXIT_NPF,
		VMEXIT_CR0_WRITE,
		VMEXIT_CR4_READ,
		VMEXIT_CR4_WRITE,
		VMEXIT_DR0_READ,
		VMEXIT_DR15_WRITE,
		VMEXIT_INTR,
		VMEXIT_NMI,
		VMEXIT_VINTR,
		VMEXIT_IRET,
		VMEXIT_XSETBV,
		VMEXIT_VMMCALL,
		VMEXIT_PAUSE,
		VMEXIT_EXCP0 + EXC_DB,
		VMEXIT_EXCP0 + EXC_AC,
		VMEXIT_SHUTDOWN,
		VMEXIT_WBINVD,
		VMEXIT_RDPMC,
		VMEXIT_EXCP0 + EXC_MC,
		VMEXIT_INIT,
	};
	u8 kind = fuzz_u8(&in);

	b->exit_code = kind < 0xf0   ? codes[kind % ARRAY_SIZE(codes)]
		       : kind < 0xf8 ? fuzz_u16(&in)
				     : VMEXIT_INVALID;
	b->exit_info1 = b->exit_info2 = 0;
	if (b->exit_code == VMEXIT_IOIO) {
		b->exit_info1 = (u64)fuzz_u16(&in) << 16 | 1u << (4 + fuzz_u8(&in) % 3) |
				(fuzz_u8(&in) & 5);
		b->exit_info2 = b->rip + (fuzz_u8(&in) & 31);
	} else if (b->exit_code == VMEXIT_NPF) {
		b->exit_info1 = fuzz_u8(&in) | (u64)(fuzz_u8(&in) & 3) << 32;
		b->exit_info2 =
			fuzz_u8(&in) & 1 ? APIC_DEFAULT_BASE | (fuzz_u8(&in) << 4) : fuzz_u64(&in);
	} else {
		b->exit_info1 = fuzz_u8(&in);
	}
	b->next_rip = b->rip + fuzz_u8(&in) % 20;
	b->exit_int_info = fuzz_u8(&in) & 3 ? 0 : HV_EVENT_VALID | (fuzz_u16(&in) & 0xfff);
	if (!event_valid(b->exit_int_info, true)) /* the CPU reports what it could deliver */
		b->exit_int_info = 0;
	if (fuzz_u8(&in) & 1)
		b->int_ctl &= ~(u32)V_IRQ;
}

static void world_switch(struct svm_vcpu *s)
{
	struct vcpu_regs *r = &s->vcpu.priv->regs;
	struct vmcb *b = s->vmcb;
	u8 what = fuzz_u8(&in);

	for (u32 n = what & 3; n; n--)
		r->gpr[fuzz_u8(&in) % GPRS] = fuzz_u8(&in) & 1 ? fuzz_u64(&in) : fuzz_u32(&in);
	if (what & 4)
		guest_changes_state(b);
	if (what & 8)
		guest_writes_memory(b);
	if (what & 16)
		scribble(s->vcpu.run);
	if (what & 32)
		b->rflags = fuzz_u32(&in) | 2;
	if (what & 64) { /* the usual MSRs and leaves have small numbers and these */
		u8 range = fuzz_u8(&in), n = fuzz_u8(&in);

		r->gpr[GPR_RCX] = range & 1   ? 0xc0000080u + (n & 7)
				  : range & 2 ? MSR_TSC_DEADLINE
					      : 0x800u + n;
	}
	choose_exit(b);
	b->rax = r->gpr[GPR_RAX];
	b->rsp = r->gpr[GPR_RSP];
}

/* svm_enter without its privileged instructions. */
static bool enter(struct vcpu *v)
{
	struct svm_vcpu *s = to_svm(v);
	struct vcpu_regs *r = &v->priv->regs;
	struct vmcb *b = s->vmcb;
	const char *bad;
	bool taken;

	svm_tlb_prepare(s, &svm_cpu);
	svm_event_prepare(s);
	bad = audit_record(vcpu_record(v));
	FUZZ_CHECK(!bad || refusable[v->index], "entry with %s", bad);
	b->rip = r->rip;
	b->rflags = r->rflags;
	b->dr6 = r->dr6;
	if (bad && fuzz_u8(&in) & 1) {
		b->exit_code = VMEXIT_INVALID;
		b->exit_int_info = 0;
	} else {
		world_switch(s);
	}
	if (!in.left) /* the end of the input ends the run */
		vcpu_kick(v, KICK_USER);
	r->gpr[GPR_RAX] = b->rax;
	r->gpr[GPR_RSP] = b->rsp;
	r->rip = b->rip;
	r->rflags = b->rflags;
	r->cr2 = b->cr2;
	r->dr6 = b->dr6;
	vlapic_cr8_set(&v->lapic, b->int_ctl & 0xf);
	taken = svm_event_complete(s);
	svm_exit_decode(b, &v->exit);
	return taken;
}

static void load(struct vcpu *v) {}

static const struct hv_ops ops = {
	.vcpu_load = load,
	.vcpu_unload = load,
	.enter = enter,
	.get_state = svm_get_state,
	.set_state = svm_set_state,
	.read_mode = svm_read_mode,
	.inject = svm_inject,
	.can_inject = svm_can_inject,
	.want_window = svm_want_window,
	.end_shadow = svm_end_shadow,
	.record = svm_record,
};
const struct hv_ops *hv_ops = &ops;

/* ---- The monitor ---- */

/* Row numbers that lead out of the table, if the kernel followed them. */
static void fill_policy(struct vm_policy *p)
{
	for (u32 i = 0; i < sizeof(p->first); i++)
		((u8 *)p->first)[i] = (u8)(i * 37);
	for (u32 i = 0; i < CPUID_ROWS; i++)
		p->row[i] = (struct cpuid_row){.kind = i % 5, .more = i * 0x01010101};
}

static s64 call(sys_fn fn, struct vcpu *v)
{
	struct sys_args args = {{0, (u64)&user}};

	return fn(&v->obj, &args);
}

/* Takes vcpu_set for what is in `user`; a refused one changes nothing. */
static s64 set(struct vcpu *v)
{
	s64 r = call(sys_vcpu_set, v);

	if (!r)
		refusable[v->index] = audit_record(vcpu_record(v));
	return r;
}

static void build(void)
{
	memset(memory, 0, sizeof(memory));
	svm_cpu = (struct svm_cpu){.next_asid = 1, .asid_generation = 1};
	vm = (struct vm){.owner = &domain, .space.epoch = 1};
	fill_policy(&vm.policy);
	fake_cpu_install(&thread);
	fake_cpu.vcpu = NULL;
	vcpu_cpus = 1;
	now = 1000;
	thread.vcpu = NULL;
	for (u32 i = 0; i < ARRAY_SIZE(vcpus); i++) {
		struct svm_vcpu *s = &vcpus[i];

		memset(&blocks[i], 0, sizeof(blocks[i]));
		memset(&privates[i], 0, sizeof(privates[i]));
		memset(&run_pages[i], 0, sizeof(run_pages[i]));
		*s = (struct svm_vcpu){.vmcb = &blocks[i], .last_cpu = -1, .cpu = &svm_cpu};
		s->vcpu = (struct vcpu){.vm = &vm,
					.index = i,
					.cpu = -1,
					.priv = &privates[i],
					.run = &run_pages[i],
					.scratch = &scratch[i],
					.lapic.page = apic_pages[i],
					.ext_vector = -1,
					.xcr0 = 1};
		svm_intercepts_init(s->vmcb);
		s->vmcb->nested_ctl = NESTED_NP_ENABLE;
		s->vmcb->efer = EFER_SVME;
		s->vmcb->g_pat = 0x0007040600070406;
		vm.vcpu[i] = &s->vcpu;
		cpu_power_on(&user, i);
		FUZZ_CHECK(!set(&s->vcpu) && !refusable[i], "the state after power-on");
	}
}

/* All that can be got can be set again, as it is. */
static void round_trip(struct vcpu *v)
{
	s64 r;

	user.size = sizeof(user);
	user.groups = STATE_ALL;
	r = call(sys_vcpu_get, v);
	FUZZ_CHECK(!r, "vcpu_get: %ld", r);
	r = set(v);
	FUZZ_CHECK(!r, "vcpu_set refuses what vcpu_get gave: %ld", r);
}

/* Where most of what is interesting begins. */
static void long_mode(void)
{
	user.cr0 = CR0_PE | CR0_PG | CR0_ET;
	user.cr4 = CR4_PAE;
	user.efer = EFER_LME | EFER_LMA;
	user.seg[SEG_CS].attr = SEG_ATTR_L | SEG_ATTR_P | SEG_ATTR_S | 11;
}

static void set_state(struct vcpu *v)
{
	u32 groups = fuzz_u8(&in);

	user.size = sizeof(user);
	user.groups = STATE_ALL;
	FUZZ_CHECK(!call(sys_vcpu_get, v), "vcpu_get");
	user.groups = groups;
	if (fuzz_u8(&in) & 1)
		long_mode();
	for (u32 n = fuzz_u8(&in) & 15; n; n--) {
		u8 kind = fuzz_u8(&in);
		u64 *word = (u64 *)&user + 1 +
			    fuzz_u8(&in) % (offsetof(struct vcpu_state, fpu) / 8 - 1);

		*word = kind & 1   ? fuzz_u64(&in)
			: kind & 2 ? *word ^ BIT(kind >> 2)
				   : fuzz_u16(&in);
	}
	set(v);
}

/* Each thing that can be left to the kernel, and one more, with each length, and 16. */
static void answer(struct run_emulate *e)
{
	u8 choice = fuzz_u8(&in);

	e->carry_out = choice % 7;
	e->insn_len = choice / 7 % 17;
	if (e->carry_out == RUN_DO_APIC_WRITE)
		e->value = fuzz_u32(&in);
}

static void run_guest(struct vcpu *v)
{
	s64 r;

	scribble(v->run);
	if (v->pending_reply == RUN_EXIT_EMULATE)
		answer(&v->run->emulate);
	v->run->immediate = 0;
	r = call(sys_vcpu_run, v);
	FUZZ_CHECK(r == 0 || r == -E_INTR || r == -E_STATE, "vcpu_run: %ld", r);
	FUZZ_CHECK(r == -E_STATE || (v->run->exit && v->run->exit < RUN_EXITS), "exit %u",
		   v->run->exit);
	FUZZ_CHECK(!v->in_guest && !v->busy, "still in the guest");
}

static void step(void)
{
	u8 op = fuzz_u8(&in);
	struct vcpu *v = &vcpus[op >> 7].vcpu;

	switch (op & 15) {
	case 0: round_trip(v); break;
	case 1:
	case 2: set_state(v); break;
	case 3: vlapic_msi(&vm, 0xfee00000 | fuzz_u32(&in), fuzz_u32(&in)); break;
	case 4: call(sys_vcpu_kick, v); break;
	case 5: fake_cpu.resched = 1; break;
	case 6:
		fuzz_fill(&in, &user, fuzz_u8(&in));
		if (op & 16)
			call(sys_vcpu_get, v);
		else
			set(v);
		break;
	default: run_guest(v); break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	in = (struct fuzz_input){data, n};
	build();
	while (in.left)
		step();
	return 0;
}
