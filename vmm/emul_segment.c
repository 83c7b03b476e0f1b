/*
 * Loads of segment registers. Intel SDM 3, "Segment Descriptors", "Protection"; without descriptors
 * "8086 Emulation".
 */
#include "vmm/emul_priv.h"

#define RAW_ACCESSED BIT(40)
#define RAW_G BIT(55)
#define TYPE_WRITABLE 2u /* of data; of code: readable */
#define TYPE_CONFORMING 4u
#define TYPE_CODE 8u

static u32 dpl_of(const struct seg_state *g) { return g->attr >> 5 & 3; }

void emul_unpack(u16 selector, u64 raw, struct seg_state *g)
{
	u32 limit = (u32)((raw & 0xffff) | (raw >> 32 & 0xf0000));

	*g = (struct seg_state){
		.selector = selector,
		.attr = (u16)((raw >> 40 & 0xff) | (raw >> 44 & 0xf00)),
		.limit = raw & RAW_G ? limit << 12 | 0xfff : limit,
		.base = (raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000),
	};
}

static enum emul_result span_of(struct emul *e, u16 selector, u32 access, u8 vector,
				struct emul_span *sp)
{
	const struct seg_state *ldt = &e->s->seg[SEG_LDTR];
	u64 base = selector & 4 ? ldt->base : e->s->gdtr.base;
	u32 limit = selector & 4 ? ldt->limit : e->s->gdtr.limit;

	if ((selector & 4 && !(ldt->attr & SEG_ATTR_P)) || (selector | 7u) > limit)
		return emul_fault(e, vector, selector & ~3u);
	return emul_linear_map(e, base + (selector & ~7u), 8, access | EMUL_SYSTEM, sp);
}

enum emul_result emul_descriptor(struct emul *e, u16 selector, u8 vector, u64 *raw)
{
	struct emul_span sp;
	enum emul_result r = span_of(e, selector, 0, vector, &sp);

	if (!r)
		*raw = emul_span_read(e, &sp);
	return r;
}

enum emul_result emul_descriptor_write(struct emul *e, u16 selector, u64 raw)
{
	struct emul_span sp;
	enum emul_result r = span_of(e, selector, EMUL_WRITE, EXC_GP, &sp);

	if (!r)
		emul_span_write(e, &sp, raw);
	return r;
}

static enum emul_result accessed(struct emul *e, u64 raw, struct seg_state *g)
{
	if (raw & RAW_ACCESSED)
		return EMUL_OK;
	g->attr |= 1;
	return emul_descriptor_write(e, g->selector, raw | RAW_ACCESSED);
}

/* The base follows from the selector; what the register held else stays, if it held anything. */
static void real_segment(const struct emul *e, u8 seg, u16 selector, struct seg_state *g)
{
	*g = e->s->seg[seg];
	g->selector = selector;
	g->base = (u64)selector << 4;
	if (!(g->attr & SEG_ATTR_P)) {
		g->attr = SEG_ATTR_P | SEG_ATTR_S | TYPE_WRITABLE | 1;
		g->limit = 0xffff;
	}
}

static bool data_allowed(const struct emul *e, u8 seg, const struct seg_state *g)
{
	u32 rpl = g->selector & 3;
	bool code = g->attr & TYPE_CODE, conforming = code && g->attr & TYPE_CONFORMING;

	if (!(g->attr & SEG_ATTR_S))
		return false;
	if (seg == SEG_SS)
		return rpl == e->cpl && dpl_of(g) == e->cpl && !code && g->attr & TYPE_WRITABLE;
	return (!code || g->attr & TYPE_WRITABLE) &&
	       (conforming || (rpl <= dpl_of(g) && e->cpl <= dpl_of(g)));
}

enum emul_result emul_data_segment(struct emul *e, u8 seg, u16 selector, u8 vector,
				   struct seg_state *g)
{
	enum emul_result r;
	u64 raw;

	if (!emul_protected(e)) {
		real_segment(e, seg, selector, g);
		return EMUL_OK;
	}
	if (!(selector & ~3u)) {
		*g = (struct seg_state){.selector = selector};
		return seg == SEG_SS ? emul_fault(e, vector, 0) : EMUL_OK;
	}
	r = emul_descriptor(e, selector, vector, &raw);
	if (r)
		return r;
	emul_unpack(selector, raw, g);
	if (!data_allowed(e, seg, g))
		return emul_fault(e, vector, selector & ~3u);
	if (!(g->attr & SEG_ATTR_P))
		return emul_fault(e, seg == SEG_SS ? EXC_SS : EXC_NP, selector & ~3u);
	return accessed(e, raw, g);
}

/* A selector for CS that names no segment. */
static enum emul_result system_target(struct emul *e, u32 type, u8 vector, u32 error)
{
	if (vector == EXC_GP && (type & 7) == 4)
		return emul_unsupported(e, "far transfer through a call gate");
	if (vector == EXC_GP && (type == 1 || type == 5 || type == 9))
		return emul_unsupported(e, "far transfer to a task");
	return emul_fault(e, vector, error);
}

/* Of the same privilege: no gates. */
enum emul_result emul_code_segment(struct emul *e, u16 selector, u8 vector, struct seg_state *g)
{
	u32 rpl = selector & 3, error = selector & ~3u;
	enum emul_result r;
	bool allowed;
	u64 raw;

	if (!emul_protected(e)) {
		real_segment(e, SEG_CS, selector, g);
		return EMUL_OK;
	}
	if (!error)
		return emul_fault(e, vector, 0);
	r = emul_descriptor(e, selector, vector, &raw);
	if (r)
		return r;
	emul_unpack((u16)(error | e->cpl), raw, g);
	if (!(g->attr & SEG_ATTR_S))
		return system_target(e, g->attr & 0xf, vector, error);
	allowed = g->attr & TYPE_CONFORMING ? dpl_of(g) <= e->cpl
					    : rpl <= e->cpl && dpl_of(g) == e->cpl;
	if (!(g->attr & TYPE_CODE) || !allowed)
		return emul_fault(e, vector, error);
	if (!(g->attr & SEG_ATTR_P))
		return emul_fault(e, EXC_NP, error);
	return accessed(e, raw, g);
}

enum emul_result emul_ldt(struct emul *e, u16 selector, u8 vector, struct seg_state *g)
{
	enum emul_result r;
	u64 raw;

	*g = (struct seg_state){.selector = selector};
	if (!(selector & ~3u))
		return EMUL_OK;
	if (selector & 4)
		return emul_fault(e, vector, selector & ~3u);
	r = emul_descriptor(e, selector, vector, &raw);
	if (r)
		return r;
	emul_unpack(selector, raw, g);
	if ((g->attr & 0x1f) != 2)
		return emul_fault(e, vector, selector & ~3u);
	return g->attr & SEG_ATTR_P ? EMUL_OK : emul_fault(e, EXC_NP, selector & ~3u);
}

void emul_set_segment(struct emul *e, u8 seg, const struct seg_state *g)
{
	e->s->seg[seg] = *g;
	e->dirty |= STATE_SEG;
}
