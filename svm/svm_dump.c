/* All guest state to the log, when a VM stops for a reason of the kernel's. */
#include "svm/svm.h"

#include "hv/up.h"
#include "lib/string.h"

#define FIELD(name, member) {name, offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member)}

static const struct {
	const char *name;
	u16 offset, bytes;
} fields[] = {
	FIELD("EXITCODE", exit_code), FIELD("EXITINFO1", exit_info1), FIELD("EXITINFO2", exit_info2),
	FIELD("EXITINTINFO", exit_int_info), FIELD("EXITINTERR", exit_int_error),
	FIELD("EVENTINJ", event_inj), FIELD("EVENTERR", event_inj_error), FIELD("nRIP", next_rip), FIELD("V_INTR", int_ctl),
	FIELD("V_VECTOR", int_vector), FIELD("INT_STATE", int_state), FIELD("ASID", asid),
	FIELD("INTERCEPT_EXC", intercept_exc), FIELD("INTERCEPT1", intercept1),
	FIELD("INTERCEPT2", intercept2),
	FIELD("TSC_OFFSET", tsc_offset), FIELD("IOPM_BASE", iopm_base), FIELD("MSRPM_BASE", msrpm_base),
	FIELD("NP_ENABLE", nested_ctl), FIELD("N_CR3", nested_cr3), FIELD("CLEAN", clean),
	FIELD("CR0", cr0), FIELD("CR2", cr2), FIELD("CR3", cr3), FIELD("CR4", cr4), FIELD("EFER", efer),
	FIELD("CPL", cpl), FIELD("DR6", dr6), FIELD("DR7", dr7), FIELD("G_PAT", g_pat), FIELD("STAR", star),
	FIELD("LSTAR", lstar), FIELD("CSTAR", cstar), FIELD("SFMASK", sfmask),
	FIELD("KERNEL_GS", kernel_gs_base),
	FIELD("SYSENTER_CS", sysenter_cs), FIELD("SYSENTER_ESP", sysenter_esp),
	FIELD("SYSENTER_EIP", sysenter_eip),
};

#define SEG(name, member) {name, offsetof(struct vmcb, member)}
static const struct {
	const char *name;
	u16 offset;
} segments[] = {
	SEG("ES", es), SEG("CS", cs), SEG("SS", ss), SEG("DS", ds), SEG("FS", fs), SEG("GS", gs),
	SEG("GDTR", gdtr), SEG("LDTR", ldtr), SEG("IDTR", idtr), SEG("TR", tr),
};

static const char *const gpr_names[GPRS] = {
	"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};

static u64 field_value(const struct vmcb *b, u32 i)
{
	u64 v = 0;

	memcpy(&v, (const u8 *)b + fields[i].offset, fields[i].bytes);
	return v;
}

void svm_dump(struct vcpu *v)
{
	const struct vmcb *b = to_svm(v)->vmcb;
	const struct vcpu_regs *r = &v->priv->regs;

	log_notice("svm: vCPU %u of VM %u: rip %#llx rflags %#llx", v->index, v->vm->id,
		   (unsigned long long)r->rip, (unsigned long long)r->rflags);
	for (u32 i = 0; i < GPRS; i += 4)
		log_notice("svm:   %-3s %016llx  %-3s %016llx  %-3s %016llx  %-3s %016llx",
			   gpr_names[i], (unsigned long long)r->gpr[i],
			   gpr_names[i + 1], (unsigned long long)r->gpr[i + 1],
			   gpr_names[i + 2], (unsigned long long)r->gpr[i + 2],
			   gpr_names[i + 3], (unsigned long long)r->gpr[i + 3]);
	for (u32 i = 0; i < ARRAY_SIZE(segments); i++) {
		const u8 *at = (const u8 *)b + segments[i].offset;
		const struct vmcb_seg *g = (const struct vmcb_seg *)at;

		log_notice("svm:   %-4s %04x attr %03x limit %08x base %016llx", segments[i].name, g->selector,
			   g->attrib, g->limit, (unsigned long long)g->base);
	}
	for (u32 i = 0; i + 1 < ARRAY_SIZE(fields); i += 2)
		log_notice("svm:   %-13s %016llx  %-13s %016llx", fields[i].name,
			   (unsigned long long)field_value(b, i), fields[i + 1].name,
			   (unsigned long long)field_value(b, i + 1));
}
static_assert(ARRAY_SIZE(fields) % 2 == 0, "printed in pairs");
