#include "vmm/dump.h"

#include "user/rt.h"

/* Runs of 8-byte fields of struct vcpu_state. */
static const char *const general_names[] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
	"r9",  "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
};
static const char *const control_names[] = {
	"cr0",	   "cr2",	  "cr3",	  "cr4",	  "cr8",    "efer",
	"xcr0",	   "dr0",	  "dr1",	  "dr2",	  "dr3",    "dr6",
	"dr7",	   "star",	  "lstar",	  "cstar",	  "sfmask", "kernel_gs",
	"tsc_aux", "sysenter_cs", "sysenter_esp", "sysenter_eip", "pat",    "wall_clock",
};
static const char *const segment_names[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
static_assert(offsetof(struct vcpu_state, msr.pv) - offsetof(struct vcpu_state, cr0) ==
		      (ARRAY_SIZE(control_names) - 1) * sizeof(u64),
	      "a name for each field");

static void dump_fields(const u64 *field, const char *const *name, u32 n)
{
	for (u32 i = 0; i < n; i += 2)
		rt_log("  %-12s %016lx  %-12s %016lx", name[i], field[i], name[i + 1],
		       field[i + 1]);
}

void dump_state(const struct vcpu_state *s)
{
	dump_fields(s->gpr, general_names, ARRAY_SIZE(general_names));
	dump_fields(&s->cr0, control_names, ARRAY_SIZE(control_names));
	for (u32 i = 0; i < SEGS; i++)
		rt_log("  %-4s %04x attr %03x limit %08x base %016lx", segment_names[i],
		       s->seg[i].selector, s->seg[i].attr, s->seg[i].limit, s->seg[i].base);
	rt_log("  gdtr %016lx %04x  idtr %016lx %04x", s->gdtr.base, s->gdtr.limit, s->idtr.base,
	       s->idtr.limit);
}
