// OPTIONS: --unwind 3
// CFLAGS: -Itests/proofs/fake
/*
 * The handle table: whatever a program passes as a handle, for every content of the first chunk of
 * slots. A slot holds an object or is free, and its generation is never 0.
 */
#include "tests/proofs/proof.h"

#include "kernel/handle.c"

static struct domain domain;
static struct handle_slot slots[HANDLE_CHUNK];
static struct object objects[2];
struct thread proof_thread = {.domain = &domain};

static u32 puts_, gets_;

void object_put(struct object *o) { puts_++; }
void object_get(struct object *o) { gets_++; }
void object_revoke(struct object *o) { o->dead = true; }
void *kmem_alloc(struct quota *q, size_t size) { return NULL; } /* one chunk is all there is */

/* Only slot `at` is looked at: it holds anything, the rest of the chunk holds nothing. */
static struct handle_slot *any_slot(u32 at)
{
	struct handle_slot *s = &slots[at];

	domain.chunk[0] = slots;
	domain.obj.type = OBJ_DOMAIN;
	domain.handle_top = HANDLE_CHUNK;
	domain.lock.locked = 0;
	for (u32 i = 0; i < 2; i++) {
		objects[i].type = nondet_u32();
		objects[i].dead = nondet_bool();
	}
	s->obj = nondet_bool() ? NULL : &objects[nondet_bool()];
	s->rights = nondet_u32();
	s->generation = (u16)nondet_u32();
	ASSUME(s->generation && !(s->rights & ~(u32)R_ALL));
	return s;
}

static u32 any_index(void)
{
	u32 at = nondet_u32();

	ASSUME(at && at < HANDLE_CHUNK);
	return at;
}

/* A lookup finds only what the slot of that index and generation holds, with all rights, alive. */
void proof_lookup(void)
{
	u32 at = any_index(), rights = nondet_u32();
	struct handle_slot *s = any_slot(at);
	enum obj_type type = nondet_u32();
	handle_t h = nondet_u32();
	struct object *o = NULL;
	int r = handle_lookup(h, type, rights, &o);

	PROVE(r == 0 || r == -E_HANDLE || r == -E_TYPE || r == -E_RIGHTS || r == -E_DEAD);
	if (r) {
		PROVE(!o);
		return;
	}
	if (h == HANDLE_SELF) {
		PROVE(type == OBJ_DOMAIN && o == &domain.obj);
		return;
	}
	PROVE((h & 0xffff) == at && h >> 16 == s->generation);
	PROVE(o && o == s->obj && !o->dead);
	PROVE((s->rights & rights) == rights);
	PROVE(type == OBJ_ANY || o->type == type);
}

/* A handle made of another has no right that the other had not, R_DUP of which it needs. */
void proof_rights_never_grow(void)
{
	u32 at = any_index();
	struct handle_slot *s = any_slot(at);
	struct sys_args args = {{nondet_u64(), nondet_u64(), HANDLE_SELF}};
	u32 had = s->rights, free_slot = any_index();

	ASSUME(free_slot != at);
	slots[free_slot] = (struct handle_slot){.generation = 1};
	domain.free_head = nondet_bool() ? free_slot : 0;
	domain.handle_top = HANDLES_PER_DOMAIN;
	domain.dying = nondet_bool();
	s64 r = sys_handle_dup(NULL, &args);

	if (r < 0)
		return;
	PROVE((r & 0xffff) == free_slot && r >> 16 == 1);
	PROVE(had & R_DUP);
	PROVE(!(slots[free_slot].rights & ~had));
	PROVE(slots[free_slot].rights == (u32)args.a[1]);
	PROVE(slots[free_slot].obj == s->obj);
	PROVE(s->rights == had);
}

/* A closed handle names nothing, also when its slot is used again; generations never become 0. */
void proof_closed_is_closed(void)
{
	u32 at = any_index();
	struct handle_slot *s = any_slot(at);
	u16 before = s->generation;
	struct sys_args args = {{(u32)before << 16 | at}};
	struct object *o = NULL;
	bool there = s->obj;
	s64 r = sys_handle_close(NULL, &args);

	PROVE(r == (there ? 0 : -E_HANDLE));
	PROVE(puts_ == there);
	if (!there)
		return;
	PROVE(s->generation && s->generation != before && !s->obj);
	PROVE(handle_lookup((handle_t)args.a[0], OBJ_ANY, 0, &o) == -E_HANDLE);
	PROVE(sys_handle_close(NULL, &args) == -E_HANDLE);
	r = handle_install(&domain, &objects[0], R_ALL);
	PROVE(r > 0 && (r & 0xffff) == at && r != (s64)args.a[0]);
	PROVE(handle_lookup((handle_t)args.a[0], OBJ_ANY, 0, &o) == -E_HANDLE);
}

/* Every handle that is given out is positive, inside the table, and found again. */
void proof_install(void)
{
	u32 top = nondet_u32(), rights = nondet_u32() & R_ALL;
	struct object *o = NULL;

	any_slot(1);
	ASSUME(top >= 1 && top <= HANDLES_PER_DOMAIN);
	domain.handle_top = top;
	domain.free_head = 0;
	domain.dying = nondet_bool();
	objects[0].dead = false;
	if (top < HANDLE_CHUNK)
		slots[top] = (struct handle_slot){.generation = 1};
	s64 r = handle_install(&domain, &objects[0], rights);

	PROVE(r > 0 || r == -E_NOMEM);
	PROVE(r > 0 ? puts_ == 0 : puts_ == 1);
	PROVE(domain.handle_top <= HANDLES_PER_DOMAIN);
	if (r < 0)
		return;
	PROVE((r & 0xffff) == top && r <= 0xffffffff);
	PROVE(!handle_lookup((handle_t)r, OBJ_ANY, rights, &o) && o == &objects[0]);
}
