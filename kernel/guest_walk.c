#include "kernel/vcpu_run.h"

#include "lib/string.h"
#include "mm/window.h"

#define ENTRY_P 1ull
#define ENTRY_PS 0x80ull
#define ENTRY_AD 0x60ull /* accessed and dirty change without changing the translation */
#define ADDRESS 0x000ffffffffff000ull
#define CODE_WINDOW WALK_LEVELS
static_assert(WINDOW_GUEST_WALK + CODE_WINDOW < WINDOW_PV, "a window for each level and the code");

/* One paging mode. SDM 3, "Paging"; levels count from the root. */
struct walk_format {
	u8 levels;
	bool wide; /* 8-byte entries */
	u64 root;  /* address bits of CR3 */
	/* levels (bit n = level n from the leaf side, 1 = 2 or 4 MiB) that may hold a page */
	u64 large;
};

enum walk_mode { WALK_NONE, WALK_32, WALK_PAE, WALK_LONG, WALK_MODES };

static const struct walk_format formats[WALK_MODES] = {
	[WALK_32] = {2, false, 0xfffff000ull, BIT(1)},
	[WALK_PAE] = {3, true, 0xffffffe0ull, BIT(1)},
	[WALK_LONG] = {4, true, ADDRESS, BIT(1) | BIT(2)},
};

static enum walk_mode walk_mode(const struct hv_mode *m)
{
	if (!(m->cr0 & CR0_PG))
		return WALK_NONE;
	if (!(m->cr4 & CR4_PAE))
		return WALK_32;
	return m->efer & EFER_LMA ? WALK_LONG : WALK_PAE;
}

/* Linear address of rip as the mode makes it. */
static gva_t rip_linear(const struct hv_mode *m, u64 rip)
{
	return gva(hv_mode_64(m) ? rip : (u32)(m->cs_base + rip));
}

static u32 code_bits(const struct hv_mode *m)
{
	if (hv_mode_64(m))
		return 64;
	return m->cs_attr & SEG_ATTR_DB ? 32 : 16;
}

void guest_walk_reset(struct vcpu *v)
{
	memset(v->walk.frame, 0xff, sizeof(v->walk.frame));
	v->walk.page = 0;
	v->walk.seen[0].rip = ~0ull; /* in rows of zeros no other has a rip of its own */
}

void guest_walk_unload(struct vcpu *v)
{
	for (u32 i = 0; i <= CODE_WINDOW; i++)
		if (v->walk.frame[i] != ~0ull)
			window_unmap(WINDOW_GUEST_WALK + i);
	guest_walk_reset(v);
}

/* The window of a level shows one frame until another is needed. */
static const u8 *window(struct vcpu *v, u32 w, u64 a)
{
	struct walk_cache *c = &v->walk;
	u64 frame = a & ~(PAGE_SIZE - 1);

	if (c->frame[w] != frame) {
		if (c->frame[w] != ~0ull)
			window_unmap(WINDOW_GUEST_WALK + w);
		c->frame[w] = frame;
		c->va[w] = window_map(WINDOW_GUEST_WALK + w, hpa(frame));
	}
	return c->va[w] + (a & (PAGE_SIZE - 1));
}

static u64 read_entry(struct vcpu *v, u32 i, u64 a, bool wide)
{
	const u8 *p = window(v, i, a);
	u64 entry = wide ? __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED)
			 : __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED);

	v->walk.at[i] = (const u64 *)p;
	v->walk.entry[i] = entry;
	return entry;
}

/* Bits of a 4 MiB page's entry that are address bits 39:32. SDM 3, "32-Bit Paging". */
static u64 large_base(u64 entry, bool wide, u64 size)
{
	if (wide)
		return entry & ADDRESS & ~(size - 1);
	return (entry & 0xffc00000ull) | (entry >> 13 & 0xff) << 32;
}

/*
 * linear has no bits beyond the mode's. Fills the cache's rows of tables; *out = the frame's
 * guest-physical address.
 */
static bool walk(struct vcpu *v, enum walk_mode mode, u64 cr3, u64 linear, u64 *out)
{
	const struct walk_format *f = &formats[mode];
	u32 bits = f->wide ? 9 : 10;
	u64 table = cr3 & f->root, entry, size;
	hpa_t at;

	for (u32 level = f->levels; level-- > 0;) {
		u32 shift = PAGE_SHIFT + level * bits;
		u64 index = linear >> shift & (BIT(bits) - 1);

		if (!aspace_lookup(&v->vm->space, table + index * (f->wide ? 8 : 4), &at))
			return false;
		entry = read_entry(v, v->walk.levels++, at.v, f->wide);
		if (!(entry & ENTRY_P))
			return false;
		size = BIT(shift);
		if (level && (entry & ENTRY_PS) && (f->large & BIT(level))) {
			table = large_base(entry, f->wide, size) +
				(linear & (size - 1) & ~(PAGE_SIZE - 1));
			break;
		}
		table = entry & (f->wide ? ADDRESS : 0xfffff000ull);
	}
	*out = table;
	return true;
}

static inline bool tables_same(const struct walk_cache *c)
{
	u64 changed = 0;

#pragma GCC unroll 4
	for (u32 i = 0; i < WALK_LEVELS; i++)
		changed |= __atomic_load_n(c->at[i], __ATOMIC_RELAXED) ^ c->entry[i];
	return !(changed & ~ENTRY_AD);
}

/*
 * The code page at a linear address; NULL when it is not mapped. Of long mode it stays the one that
 * was found last.
 */
static const u8 *code_page(struct vcpu *v, const struct hv_mode *m, u64 linear)
{
	struct walk_cache *c = &v->walk;
	enum walk_mode mode = walk_mode(m);
	u64 page = linear & ~(PAGE_SIZE - 1);
	hpa_t at;

	c->page = 0;
	c->levels = 0;
	for (u32 i = 0; i < WALK_LEVELS; i++)
		c->at[i] = &c->entry[i];
	c->code_cr3 = m->cr3;
	c->epoch = __atomic_load_n(&v->vm->space.epoch, __ATOMIC_ACQUIRE);
	if ((mode != WALK_NONE && !walk(v, mode, m->cr3, linear, &page)) ||
	    !aspace_lookup(&v->vm->space, page, &at))
		return NULL;
	(void)window(v, CODE_WINDOW, at.v);
	if (mode == WALK_LONG)
		c->page = linear | (PAGE_SIZE - 1);
	return c->va[CODE_WINDOW];
}

/* Copies n bytes of code of one page; returns how many could be read: all or none. */
static u32 fetch(struct vcpu *v, const struct hv_mode *m, gva_t linear, u8 *buf, u32 n)
{
	const u8 *page = code_page(v, m, hv_mode_64(m) ? linear.v : (u32)linear.v);

	if (!page)
		return 0;
	memcpy(buf, page + (linear.v & (PAGE_SIZE - 1)), n);
	return n;
}

/*
 * What was decoded at rip before, of 64-bit code with that CR3, if page and bytes are the same.
 * Nested mappings that are removed after the entry stay what they are until this CPU has answered.
 */
static inline const struct exit_insn *seen_insn(const struct vcpu *v, u64 cr3)
{
	const struct walk_cache *c = &v->walk;
	u64 rip = v->priv->regs.rip, low, high;
	const u8 *code;
	const struct insn_seen *s = &c->seen[rip % INSNS_SEEN];

	if (unlikely(s->rip != rip || c->page != (rip | (PAGE_SIZE - 1)) || c->code_cr3 != cr3 ||
		     !tables_same(c)))
		return NULL;
	code = c->va[CODE_WINDOW] + (rip & (PAGE_SIZE - 1));
	__builtin_memcpy(&low, code, sizeof(low));
	__builtin_memcpy(&high, code + sizeof(low), sizeof(high));
	return ((low ^ s->bytes[0]) & s->mask[0]) | ((high ^ s->bytes[1]) & s->mask[1]) ? NULL
											: &s->insn;
}

/* s->insn was decoded from these bytes. Only where 16 can be compared without leaving the page. */
static void see(struct insn_seen *s, u64 rip, const u8 *bytes)
{
	u32 n = s->insn.length;

	if ((rip & (PAGE_SIZE - 1)) > PAGE_SIZE - sizeof(s->bytes))
		return;
	memset(s->mask, 0, sizeof(s->mask));
	memset(s->mask, 0xff, n);
	memcpy(s->bytes, bytes, n);
	s->rip = rip;
}

const struct exit_insn *guest_decode(struct vcpu *v)
{
	struct hv_mode m;
	u8 bytes[EXIT_INSN_MAX];
	u32 n = v->exit.insn_bytes;
	u64 in_page, rip = v->priv->regs.rip;
	struct insn_seen *s = &v->walk.seen[rip % INSNS_SEEN];
	const struct exit_insn *seen;
	gva_t linear;

	hv_ops->read_mode(v, &m);
	if (v->walk.epoch != __atomic_load_n(&v->vm->space.epoch, __ATOMIC_ACQUIRE))
		v->walk.page = 0;
	seen = hv_mode_64(&m) ? seen_insn(v, m.cr3) : NULL;
	if (seen)
		return seen;
	s->rip = ~rip; /* no rip of this row */
	if (n)
		return exit_insn_decode(v->exit.insn, n, code_bits(&m), &s->insn) ? &s->insn : NULL;
	linear = rip_linear(&m, rip);
	in_page = PAGE_SIZE - (linear.v & (PAGE_SIZE - 1));
	/* The next page is touched only when the instruction reaches into it. */
	n = fetch(v, &m, linear, bytes, (u32)MIN(in_page, EXIT_INSN_MAX));
	if (exit_insn_decode(bytes, n, code_bits(&m), &s->insn)) {
		if (hv_mode_64(&m))
			see(s, rip, bytes);
		return &s->insn;
	}
	if (n == EXIT_INSN_MAX || n < in_page)
		return NULL;
	n += fetch(v, &m, gva(linear.v + n), bytes + n, EXIT_INSN_MAX - n);
	return exit_insn_decode(bytes, n, code_bits(&m), &s->insn) ? &s->insn : NULL;
}

u32 vcpu_insn_decoded(struct vcpu *v)
{
	const struct exit_insn *insn = guest_decode(v);

	/*
	 * Another vCPU changes code or tables under it: the guest runs the instruction again and
	 * faults itself.
	 */
	return insn ? insn->length : 0;
}

u32 vcpu_insn_length(struct vcpu *v)
{
	const struct exit_insn *seen;

	if (v->exit.insn_len)
		return v->exit.insn_len;
	seen = seen_insn(v, v->exit.code_cr3);
	return likely(seen) ? seen->length : 0;
}
