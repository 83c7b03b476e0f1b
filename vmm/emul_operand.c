/* Registers, segments and memory operands. */
#include "arch/apic.h"
#include "vmm/emul_priv.h"

u64 emul_full_read(const struct emul *e, u8 reg, u32 bytes)
{
	return e->s->gpr[reg] & emul_mask(bytes);
}

void emul_full_write(struct emul *e, u8 reg, u32 bytes, u64 value)
{
	u64 *r = &e->s->gpr[reg], mask = emul_mask(bytes);

	*r = bytes >= 4 ? value & mask : (*r & ~mask) | (value & mask);
}

/* Without REX the byte registers 4 to 7 are AH, CH, DH, BH. */
static bool is_high(const struct emul *e, u8 reg, u32 bytes)
{
	return bytes == 1 && !e->insn.rex && (reg & 0xc) == 4;
}

u64 emul_reg_read(const struct emul *e, u8 reg, u32 bytes)
{
	if (is_high(e, reg, bytes))
		return e->s->gpr[reg - 4] >> 8 & 0xff;
	return emul_full_read(e, reg, bytes);
}

void emul_reg_write(struct emul *e, u8 reg, u32 bytes, u64 value)
{
	if (is_high(e, reg, bytes))
		e->s->gpr[reg - 4] = (e->s->gpr[reg - 4] & ~0xff00ull) | (value & 0xff) << 8;
	else
		emul_full_write(e, reg, bytes, value);
}

u64 emul_effective(const struct emul *e)
{
	const struct insn *in = &e->insn;
	u64 at = (u64)in->disp;

	if (in->base != INSN_NO_REG)
		at += e->s->gpr[in->base];
	if (in->index != INSN_NO_REG)
		at += e->s->gpr[in->index] * in->scale;
	if (in->rip_relative)
		at += e->next_rip;
	return at & emul_mask(in->addr_size);
}

static enum emul_result translate_page(struct emul *e, u64 linear, u32 access, u64 *gpa, u8 **host)
{
	struct emul_tlb *t = &e->tlb[access & EMUL_WRITE ? 1 : 0];
	u64 page = ALIGN_DOWN(linear, PAGE_SIZE);
	bool cached = !(access & ~(u32)EMUL_WRITE);

	if (!cached || t->page != (page | 1)) {
		u64 at;
		enum emul_result r = emul_walk(e, linear, access, &at);

		if (r)
			return r;
		if (e->any && ALIGN_DOWN(at, PAGE_SIZE) == APIC_DEFAULT_BASE)
			return emul_unsupported(e, "the local APIC's page in emulated code");
		*gpa = at;
		u8 *base = e->ops->ram(e, ALIGN_DOWN(at, PAGE_SIZE), PAGE_SIZE);

		*host = base ? base + at % PAGE_SIZE : NULL;
		if (cached)
			*t = (struct emul_tlb){page | 1, ALIGN_DOWN(at, PAGE_SIZE), base};
		return EMUL_OK;
	}
	*gpa = t->gpa + linear % PAGE_SIZE;
	*host = t->host ? t->host + linear % PAGE_SIZE : NULL;
	return EMUL_OK;
}

enum emul_result emul_linear_map(struct emul *e, u64 linear, u32 bytes, u32 access,
				 struct emul_span *sp)
{
	u32 first = (u32)MIN((u64)bytes, PAGE_SIZE - linear % PAGE_SIZE);

	sp->bytes = bytes;
	sp->parts = first < bytes ? 2 : 1;
	for (u32 i = 0; i < sp->parts; i++) {
		u64 at = linear + (i ? first : 0);

		if (e->mode != INSN_MODE_64)
			at = (u32)at;
		enum emul_result r =
			translate_page(e, at, access, &sp->part[i].gpa, &sp->part[i].host);

		if (r)
			return r;
		sp->part[i].bytes = i ? bytes - first : first;
	}
	return EMUL_OK;
}

static bool is_canonical(const struct emul *e, u64 linear)
{
	u32 unused = e->s->cr4 & CR4_LA57 ? 7 : 16;

	return (u64)((s64)(linear << unused) >> unused) == linear;
}

/* Type and limit rules of the segment that is loaded. */
static bool segment_allows(const struct emul *e, const struct seg_state *g, u64 offset, u32 bytes,
			   u32 access)
{
	u64 last = offset + bytes - 1;

	if (emul_protected(e)) {
		if ((g->attr & (SEG_ATTR_P | SEG_ATTR_S)) != (SEG_ATTR_P | SEG_ATTR_S))
			return false;
		if (access & EMUL_WRITE ? (g->attr & 0xa) != 2 : (g->attr & 0xa) == 8)
			return false;
		if ((g->attr & 0xc) == 4) /* data that expands down */
			return offset > g->limit &&
			       last <= (g->attr & SEG_ATTR_DB ? 0xffffffff : 0xffff);
	}
	return last <= g->limit;
}

enum emul_result emul_map(struct emul *e, u8 seg, u64 offset, u32 bytes, u32 access,
			  struct emul_span *sp)
{
	const struct seg_state *g = &e->s->seg[seg];
	u8 vector = seg == SEG_SS ? EXC_SS : EXC_GP;
	u64 linear;

	if (e->mode == INSN_MODE_64) {
		linear = offset + (seg >= SEG_FS ? g->base : 0);
		if (!is_canonical(e, linear) || !is_canonical(e, linear + bytes - 1))
			return emul_fault(e, vector, 0);
	} else {
		if (!segment_allows(e, g, offset, bytes, access))
			return emul_fault(e, vector, 0);
		linear = (u32)(g->base + offset);
	}
	return emul_linear_map(e, linear, bytes, access, sp);
}

static u64 load_host(const u8 *p, u32 bytes)
{
	u64 v = 0;

	switch (bytes) { /* one access each: another vCPU may write at the same time */
	case 1: __asm__ volatile("movzbl %1, %k0" : "=r"(v) : "m"(*p) : "memory"); break;
	case 2: __asm__ volatile("movzwl %1, %k0" : "=r"(v) : "m"(*p) : "memory"); break;
	case 4: __asm__ volatile("movl %1, %k0" : "=r"(v) : "m"(*p) : "memory"); break;
	case 8: __asm__ volatile("movq %1, %0" : "=r"(v) : "m"(*p) : "memory"); break;
	default:
		for (u32 i = 0; i < bytes; i++)
			v |= (u64)p[i] << i * 8;
	}
	return v;
}

static void store_host(u8 *p, u32 bytes, u64 v)
{
	switch (bytes) {
	case 1: __asm__ volatile("movb %b1, %0" : "=m"(*p) : "r"(v) : "memory"); break;
	case 2: __asm__ volatile("movw %w1, %0" : "=m"(*p) : "r"(v) : "memory"); break;
	case 4: __asm__ volatile("movl %k1, %0" : "=m"(*p) : "r"(v) : "memory"); break;
	case 8: __asm__ volatile("movq %1, %0" : "=m"(*p) : "r"(v) : "memory"); break;
	default:
		for (u32 i = 0; i < bytes; i++)
			p[i] = (u8)(v >> i * 8);
	}
}

/* Locked compare and exchange of any alignment. */
static bool swap_host(u8 *p, u32 bytes, u64 old, u64 value)
{
	bool done;

	switch (bytes) {
	case 1:
		__asm__ volatile("lock cmpxchgb %b3, %1"
				 : "=@ccz"(done), "+m"(*p), "+a"(old)
				 : "r"(value)
				 : "memory");
		break;
	case 2:
		__asm__ volatile("lock cmpxchgw %w3, %1"
				 : "=@ccz"(done), "+m"(*p), "+a"(old)
				 : "r"(value)
				 : "memory");
		break;
	case 4:
		__asm__ volatile("lock cmpxchgl %k3, %1"
				 : "=@ccz"(done), "+m"(*p), "+a"(old)
				 : "r"(value)
				 : "memory");
		break;
	default:
		__asm__ volatile("lock cmpxchgq %3, %1"
				 : "=@ccz"(done), "+m"(*p), "+a"(old)
				 : "r"(value)
				 : "memory");
	}
	return done;
}

/* A device sees the access whole when it is naturally aligned, else as bytes. */
static bool is_natural(u64 gpa, u32 bytes)
{
	return !(bytes & (bytes - 1)) && IS_ALIGNED(gpa, bytes);
}

static u64 mmio_read(struct emul *e, u64 gpa, u32 bytes)
{
	u64 v = 0;

	if (is_natural(gpa, bytes))
		return e->ops->mmio_read(e, gpa, bytes) & emul_mask(bytes);
	for (u32 i = 0; i < bytes; i++)
		v |= (e->ops->mmio_read(e, gpa + i, 1) & 0xff) << i * 8;
	return v;
}

static void mmio_write(struct emul *e, u64 gpa, u32 bytes, u64 v)
{
	if (is_natural(gpa, bytes)) {
		e->ops->mmio_write(e, gpa, bytes, v & emul_mask(bytes));
		return;
	}
	for (u32 i = 0; i < bytes; i++)
		e->ops->mmio_write(e, gpa + i, 1, v >> i * 8 & 0xff);
}

u64 emul_span_read(struct emul *e, const struct emul_span *sp)
{
	u64 v = 0;
	u32 at = 0;

	for (u32 i = 0; i < sp->parts; i++) {
		u32 n = sp->part[i].bytes;

		v |= (sp->part[i].host ? load_host(sp->part[i].host, n)
				       : mmio_read(e, sp->part[i].gpa, n))
		     << at * 8;
		at += n;
	}
	return v;
}

void emul_span_write(struct emul *e, const struct emul_span *sp, u64 value)
{
	for (u32 i = 0; i < sp->parts; i++) {
		u32 n = sp->part[i].bytes;

		if (sp->part[i].host)
			store_host(sp->part[i].host, n, value);
		else
			mmio_write(e, sp->part[i].gpa, n, value);
		value >>= n * 8 % 64;
	}
}

enum emul_result emul_operand_rm(struct emul *e, u32 bytes, u32 access, struct emul_operand *o)
{
	o->bytes = bytes;
	o->is_mem = e->insn.has_mem;
	o->reg = e->insn.rm;
	if (!o->is_mem)
		return EMUL_OK;
	return emul_map(e, e->insn.seg, emul_effective(e), bytes, access, &o->span);
}

u64 emul_operand_read(struct emul *e, const struct emul_operand *o)
{
	return o->is_mem ? emul_span_read(e, &o->span) : emul_reg_read(e, o->reg, o->bytes);
}

enum emul_result emul_operand_write(struct emul *e, const struct emul_operand *o, u64 old,
				    u64 value, bool locked)
{
	if (!o->is_mem) {
		emul_reg_write(e, o->reg, o->bytes, value);
	} else if (locked && o->span.parts == 1 && o->span.part[0].host) {
		if (!swap_host(o->span.part[0].host, o->bytes, old, value))
			return EMUL_RETRY;
	} else {
		emul_span_write(e, &o->span, value);
	}
	return EMUL_OK;
}
