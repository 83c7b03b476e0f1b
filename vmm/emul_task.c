/*
 * Task switches, where the CPU leaves them to the hypervisor (VT-x). It has checked the gate and
 * the descriptor of the new task. Intel SDM 3, "Task Management", "Task Switching".
 */
#include "vmm/emul_priv.h"

/* The words of a 32-bit TSS. */
/* clang-format off */
enum tss_word {
	TSS_LINK = 0, TSS_CR3 = 7, TSS_EIP, TSS_EFLAGS, TSS_GPRS, TSS_SEGMENTS = 18, TSS_LDT = 24,
	TSS_TRAP, TSS_WORDS
};
/* clang-format on */

#define TSS_LIMIT 0x67u
#define TSS_SAVED_LIMIT 0x5fu /* up to GS */
#define DR6_BT BIT(15)
#define DR7_LOCAL 0x155ull
#define CODE_ACCESSED 9u
#define DATA_WRITABLE_ACCESSED 3u

/* Types of events: from EVENT_SOFTWARE on an instruction is behind them, or no event. */
enum { EVENT_NMI = 2, EVENT_SOFTWARE = 4, EVENT_NONE = 8 };

static u32 event_type(const struct run_task *t)
{
	return t->event >> 31 ? t->event >> 8 & 7 : EVENT_NONE;
}

struct tss {
	struct emul_span at[TSS_WORDS];
	u32 word[TSS_WORDS];
};

static enum emul_result map_tss(struct emul *e, u64 base, u32 words, u32 access, struct tss *t)
{
	enum emul_result r = EMUL_OK;

	for (u32 i = 0; !r && i < words; i++)
		r = emul_linear_map(e, base + i * 4, 4, access | EMUL_SYSTEM, &t->at[i]);
	return r;
}

static void put(struct emul *e, struct tss *t, u32 word, u64 value)
{
	emul_span_write(e, &t->at[word], (u32)value);
}

/* The old task: where it goes on, its registers. */
static void save(struct emul *e, struct tss *old, const struct run_task *t)
{
	const struct vcpu_state *s = e->s;
	u64 flags = s->rflags;

	if (t->source == TASK_BY_IRET)
		flags &= ~(u64)RFLAGS_NT;
	put(e, old, TSS_EIP, s->rip + (event_type(t) < EVENT_SOFTWARE ? 0 : t->insn_len));
	put(e, old, TSS_EFLAGS, flags);
	for (u32 i = 0; i < 8; i++)
		put(e, old, TSS_GPRS + i, s->gpr[i]);
	for (u32 i = 0; i <= SEG_GS; i++)
		put(e, old, TSS_SEGMENTS + i, s->seg[i].selector);
}

static void load_v86(struct vcpu_state *s)
{
	for (u32 i = 0; i <= SEG_GS; i++) {
		u16 selector = s->seg[i].selector;

		s->seg[i] = (struct seg_state){selector, 0xf3, 0xffff, (u64)selector << 4};
	}
}

/*
 * No descriptor stands behind a selector yet. CS and SS, which the CPU can't enter the guest
 * without, are empty: any use of them is a fault.
 */
static void load_selectors(struct vcpu_state *s, const struct tss *new)
{
	u16 cs = (u16) new->word[TSS_SEGMENTS + SEG_CS],
	    ss = (u16) new->word[TSS_SEGMENTS + SEG_SS];
	u16 attr = (u16)(SEG_ATTR_P | SEG_ATTR_S | (cs & 3) << 5);

	for (u32 i = 0; i <= SEG_GS; i++)
		s->seg[i] = (struct seg_state){.selector = (u16) new->word[TSS_SEGMENTS + i]};
	s->seg[SEG_LDTR] = (struct seg_state){.selector = (u16) new->word[TSS_LDT]};
	if (s->rflags & RFLAGS_VM) {
		load_v86(s);
		return;
	}
	s->seg[SEG_CS].attr = attr | CODE_ACCESSED;
	s->seg[SEG_SS].attr = attr | DATA_WRITABLE_ACCESSED;
	s->seg[SEG_SS].selector = (u16)((ss & ~3u) | (cs & 3));
}

/*
 * Tables with a PDPTE that no CPU takes: #GP(0), and the old ones stay, CR3 too, as SDM 3, "PDPTE
 * Registers", has it of MOV to CR3; of a task switch it says only that it loads PDPTEs.
 */
static enum emul_result load_cr3(struct emul *e, u64 cr3)
{
	u64 old = e->s->cr3;

	if (!(e->s->cr0 & CR0_PG) || cr3 == old)
		return EMUL_OK;
	e->s->cr3 = cr3;
	e->tlb[0].page = e->tlb[1].page = 0;
	if (emul_load_pdptes(e))
		return EMUL_OK;
	e->s->cr3 = old;
	return emul_fault(e, EXC_GP, 0);
}

/* All but the descriptors: from here on an exception is one of the new task. */
static enum emul_result load(struct emul *e, const struct tss *new)
{
	struct vcpu_state *s = e->s;
	enum emul_result r = load_cr3(e, new->word[TSS_CR3]);

	s->cr0 |= CR0_TS;
	s->rip = new->word[TSS_EIP];
	s->rflags = (new->word[TSS_EFLAGS] & 0x3f7fd5ull) | RFLAGS_FIXED;
	s->dr7 &= ~DR7_LOCAL;
	for (u32 i = 0; i < 8; i++)
		s->gpr[i] = new->word[TSS_GPRS + i];
	load_selectors(s, new);
	s->event.sti_blocked = 0;
	e->dirty |= STATE_GPR | STATE_SEG | STATE_CR | STATE_DR | STATE_EVENT;
	return r;
}

/* While CS and SS are being loaded the CPL is what CS says. */
static enum emul_result load_segments(struct emul *e, u16 ss)
{
	static const u8 order[] = {SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS};
	struct vcpu_state *s = e->s;
	struct seg_state g;
	enum emul_result r = emul_ldt(e, s->seg[SEG_LDTR].selector, EXC_TS, &g);

	if (r)
		return r;
	s->seg[SEG_LDTR] = g;
	if (s->rflags & RFLAGS_VM)
		return EMUL_OK;
	e->cpl = s->seg[SEG_CS].selector & 3;
	r = emul_code_segment(e, s->seg[SEG_CS].selector, EXC_TS, &g);
	if (r)
		return r;
	s->seg[SEG_CS] = g;
	for (u32 i = 0; i < ARRAY_SIZE(order); i++) {
		u16 selector = order[i] == SEG_SS ? ss : s->seg[order[i]].selector;

		r = emul_data_segment(e, order[i], selector, EXC_TS, &g);
		if (r)
			return r;
		s->seg[order[i]] = g;
	}
	return s->rip > s->seg[SEG_CS].limit ? emul_fault(e, EXC_GP, 0) : EMUL_OK;
}

static enum emul_result arrive(struct emul *e, const struct tss *new, const struct run_task *t)
{
	enum emul_result r = load_segments(e, (u16) new->word[TSS_SEGMENTS + SEG_SS]);
	u64 error = t->error;

	if (r)
		return r;
	e->mode = e->s->seg[SEG_CS].attr & SEG_ATTR_DB ? INSN_MODE_32 : INSN_MODE_16;
	if (event_type(t) != EVENT_NONE && t->event & 1u << 11) {
		r = emul_push(e, &error, 1, 4);
		if (r)
			return r;
	}
	if (new->word[TSS_TRAP] & 1) {
		e->s->dr6 |= DR6_BT;
		return emul_fault(e, EXC_DB, 0);
	}
	return EMUL_OK;
}

/* Busy or not: the descriptors in the GDT, the link and NT of a nested task. */
static enum emul_result mark(struct emul *e, struct tss *new, const struct run_task *t, u64 raw)
{
	u16 from = e->s->seg[SEG_TR].selector;
	bool nested = t->source == TASK_BY_CALL || t->source == TASK_BY_GATE;
	enum emul_result r = EMUL_OK;
	u64 old;

	if (!nested) {
		r = emul_descriptor(e, from, EXC_TS, &old);
		if (!r)
			r = emul_descriptor_write(e, from, old & ~TSS_BUSY);
	}
	if (!r && t->source != TASK_BY_IRET)
		r = emul_descriptor_write(e, t->selector, raw | TSS_BUSY);
	if (r)
		return r;
	for (u32 i = 0; i < TSS_WORDS; i++)
		new->word[i] = (u32)emul_span_read(e, &new->at[i]);
	if (nested) {
		put(e, new, TSS_LINK, (new->word[TSS_LINK] & 0xffff0000) | from);
		new->word[TSS_EFLAGS] |= RFLAGS_NT;
	}
	return EMUL_OK;
}

static enum emul_result switch_task(struct emul *e, const struct run_task *t)
{
	const struct seg_state *from = &e->s->seg[SEG_TR];
	u32 want = t->source == TASK_BY_IRET ? 0xb : 9, error = t->selector & ~3u;
	u8 vector = t->source == TASK_BY_IRET ? EXC_TS : EXC_GP;
	struct tss old, new;
	struct seg_state g;
	enum emul_result r;
	u64 raw;

	if (e->s->efer & EFER_LMA)
		return emul_unsupported(e, "a task switch in long mode");
	r = t->selector & 4 || !error ? emul_fault(e, vector, error)
				      : emul_descriptor(e, t->selector, vector, &raw);
	if (r)
		return r;
	emul_unpack(t->selector, raw | TSS_BUSY, &g);
	if ((from->attr & 0xf) != 0xb || (raw >> 40 & 0x1d) == 1)
		return emul_unsupported(e, "a switch from or to a 16-bit task");
	if ((raw >> 40 & 0x1f) != want)
		return emul_fault(e, vector, error);
	if (!(g.attr & SEG_ATTR_P))
		return emul_fault(e, EXC_NP, error);
	if (g.limit < TSS_LIMIT || from->limit < TSS_SAVED_LIMIT)
		return emul_fault(e, EXC_TS, error);
	r = map_tss(e, g.base, TSS_WORDS, EMUL_WRITE, &new);
	if (!r)
		r = map_tss(e, from->base, TSS_LDT, EMUL_WRITE, &old);
	if (r)
		return r;
	save(e, &old, t);
	r = mark(e, &new, t, raw);
	if (r)
		return r;
	e->s->seg[SEG_TR] = g;
	r = load(e, &new);
	if (event_type(t) == EVENT_NMI)
		e->s->event.nmi_blocked = 1;
	else if (t->source == TASK_BY_IRET)
		e->s->event.nmi_blocked = 0;
	return r ? r : arrive(e, &new, t);
}

enum emul_result emul_task_switch(struct emul *e, const struct run_task *t)
{
	enum emul_result r;

	emul_begin(e);
	r = switch_task(e, t);
	if (r == EMUL_FAULT) {
		emul_queue(e, e->vector, e->has_error, e->error);
		if (e->vector == EXC_PF) {
			e->s->cr2 = e->cr2;
			e->dirty |= STATE_CR;
		}
		return EMUL_FAULT;
	}
	return r == EMUL_RETRY ? emul_unsupported(e, "page tables that never stand still") : r;
}
