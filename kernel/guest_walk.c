#include "kernel/vcpu_run.h"

#include "lib/string.h"
#include "mm/window.h"

#define ENTRY_P 1ull
#define ENTRY_PS 0x80ull
#define ENTRY_AD 0x60ull /* accessed and dirty change without changing the translation */
#define ADDRESS 0x000ffffffffff000ull
#define CODE_WINDOW WALK_LEVELS
static_assert(WINDOW_GUEST_WALK + CODE_WINDOW < WINDOW_PV, "a window for each level and the code");

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

static u64 read_entry(struct vcpu *v, u32 i, u64 a)
{
	const u64 *p = (const u64 *)window(v, i, a);

	v->walk.at[i] = p;
	v->walk.entry[i] = __atomic_load_n(p, __ATOMIC_RELAXED);
	return v->walk.entry[i];
}

/*
 * Through tables of 4 levels, of which those of 1 GiB and 2 MiB may hold a page. Fills the cache's
 * rows of tables; *out = the frame's guest-physical address, or one in it.
 */
static bool walk(struct vcpu *v, u64 cr3, u64 linear, u64 *out)
{
	u64 table = cr3 & ADDRESS, entry, size;
	hpa_t at;

	for (u32 level = WALK_LEVELS; level-- > 0;) {
		size = BIT(PAGE_SHIFT + 9 * level);
		if (!aspace_lookup(&v->vm->space, table + linear / size % 512 * 8, PROT_R, &at))
			return false;
		entry = read_entry(v, v->walk.levels++, at.v);
		if (!(entry & ENTRY_P))
			return false;
		table = entry & ADDRESS;
		if (level && level < 3 && entry & ENTRY_PS) {
			table = ALIGN_DOWN(table, size) + linear % size;
			break;
		}
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

/* The page at rip, which stays the one that was found last; NULL when it is not mapped. */
static const u8 *code_page(struct vcpu *v, u64 cr3, u64 rip)
{
	struct walk_cache *c = &v->walk;
	u64 page;
	hpa_t at;

	c->page = 0;
	c->levels = 0;
	for (u32 i = 0; i < WALK_LEVELS; i++)
		c->at[i] = &c->entry[i];
	c->code_cr3 = cr3;
	c->epoch = __atomic_load_n(&v->vm->space.epoch, __ATOMIC_ACQUIRE);
	if (!walk(v, cr3, rip, &page) || !aspace_lookup(&v->vm->space, page, PROT_R, &at))
		return NULL;
	(void)window(v, CODE_WINDOW, at.v);
	c->page = rip | (PAGE_SIZE - 1);
	return c->va[CODE_WINDOW];
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
	u64 rip = v->priv->regs.rip, at = rip % PAGE_SIZE;
	struct insn_seen *s = &v->walk.seen[rip % INSNS_SEEN];
	u32 n = (u32)MIN(PAGE_SIZE - at, EXIT_INSN_MAX);
	const struct exit_insn *seen;
	u8 bytes[EXIT_INSN_MAX];
	const u8 *page;
	struct hv_mode m;

	hv_ops->read_mode(v, &m);
	if (!hv_mode_64(&m))
		return NULL;
	if (v->walk.epoch != __atomic_load_n(&v->vm->space.epoch, __ATOMIC_ACQUIRE))
		v->walk.page = 0;
	seen = seen_insn(v, m.cr3);
	if (seen)
		return seen;
	s->rip = ~rip; /* no rip of this row */
	page = code_page(v, m.cr3, rip);
	if (!page)
		return NULL;
	memcpy(bytes, page + at, n);
	if (!exit_insn_decode(bytes, n, &s->insn))
		return NULL;
	see(s, rip, bytes);
	return &s->insn;
}

u32 vcpu_insn_length(struct vcpu *v)
{
	const struct exit_insn *seen;

	if (v->exit.insn_len)
		return v->exit.insn_len;
	seen = seen_insn(v, v->exit.code_cr3);
	return likely(seen) ? seen->length : 0;
}
