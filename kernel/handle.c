#include "kernel/domain.h"
#include "kernel/syscall.h"

#define CLOSE_STEP 8 /* a port's end lets go of up to 512 objects */

static struct handle_slot *slot_at(struct domain *d, u32 index)
{
	struct handle_slot *chunk =
		index < HANDLES_PER_DOMAIN ? d->chunk[index / HANDLE_CHUNK] : NULL;

	return chunk ? &chunk[index % HANDLE_CHUNK] : NULL;
}

/* A free slot, or NULL. d->lock is held. */
static struct handle_slot *slot_take(struct domain *d, u32 *index)
{
	struct handle_slot *s;

	if (d->free_head) {
		*index = d->free_head;
		s = slot_at(d, *index);
		d->free_head = s->next_free;
		return s;
	}
	if (d->handle_top == HANDLES_PER_DOMAIN)
		return NULL;
	*index = d->handle_top;
	if (!d->chunk[*index / HANDLE_CHUNK]) {
		s = kmem_alloc(&d->quota, HANDLE_CHUNK * sizeof(*s));
		if (!s)
			return NULL;
		for (u32 i = 0; i < HANDLE_CHUNK; i++)
			s[i].generation = 1;
		__atomic_store_n(&d->chunk[*index / HANDLE_CHUNK], s, __ATOMIC_RELEASE);
	}
	d->handle_top++;
	return slot_at(d, *index);
}

s64 handle_install(struct domain *d, struct object *o, u32 rights)
{
	struct handle_slot *s = NULL;
	u32 index = 0;
	s64 h = -E_NOMEM;

	spin_lock(&d->lock);
	if (!d->dying)
		s = slot_take(d, &index);
	if (s) {
		s->rights = rights;
		__atomic_store_n(&s->obj, o, __ATOMIC_RELEASE);
		h = (s64)((u32)s->generation << 16 | index);
	}
	spin_unlock(&d->lock);
	if (!s)
		object_put(o);
	return h;
}

/*
 * Readers take no lock: the generation is checked before and after, and raised before a slot is
 * emptied.
 */
int handle_lookup(handle_t h, enum obj_type type, u32 rights, struct object **out)
{
	struct handle_slot *s = slot_at(current_domain(), h & 0xffff);
	struct object *o;
	u32 have;

	if (unlikely(!s || __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE) != h >> 16)) {
		if (h != HANDLE_SELF || type != OBJ_DOMAIN)
			return -E_HANDLE;
		*out = &current_domain()->obj;
		return 0;
	}
	o = __atomic_load_n(&s->obj, __ATOMIC_ACQUIRE);
	have = s->rights;
	if (unlikely(!o || __atomic_load_n(&s->generation, __ATOMIC_ACQUIRE) != h >> 16))
		return -E_HANDLE;
	if (unlikely(type != OBJ_ANY && o->type != type))
		return -E_TYPE;
	if (unlikely((have & rights) != rights))
		return -E_RIGHTS;
	if (unlikely(o->dead))
		return -E_DEAD;
	*out = o;
	return 0;
}

u32 handle_rights(handle_t h)
{
	struct handle_slot *s = slot_at(current_domain(), h & 0xffff);
	u32 have = s ? __atomic_load_n(&s->rights, __ATOMIC_ACQUIRE) : 0;

	/* After the rights: the slot may be another handle's by now. */
	return s && s->generation == h >> 16 ? have : 0;
}

/* The object that the slot held, or NULL when the handle is not (any more) that generation. */
static struct object *slot_release(struct domain *d, u32 index, u32 generation)
{
	struct handle_slot *s;
	struct object *o = NULL;

	spin_lock(&d->lock);
	s = slot_at(d, index);
	if (s && s->obj && (!generation || s->generation == generation)) {
		u16 next = (u16)(s->generation + 1);

		__atomic_store_n(&s->generation, next ? next : 1, __ATOMIC_SEQ_CST);
		o = s->obj;
		__atomic_store_n(&s->obj, NULL, __ATOMIC_RELEASE);
		s->next_free = (u16)d->free_head;
		d->free_head = index;
	}
	spin_unlock(&d->lock);
	return o;
}

bool domain_close_handles_step(struct domain *d)
{
	u32 n;

	for (n = 0; n < CLOSE_STEP && d->close_next < d->handle_top; n++, d->close_next++) {
		struct object *o = slot_release(d, d->close_next, 0);

		if (o)
			object_put(o);
	}
	return d->close_next >= d->handle_top;
}

s64 sys_handle_close(struct object *obj, const struct sys_args *args)
{
	handle_t h = (handle_t)args->a[0];
	struct object *o = h >> 16 ? slot_release(current_domain(), h & 0xffff, h >> 16) : NULL;

	if (!o)
		return -E_HANDLE;
	object_put(o);
	return 0;
}

s64 sys_handle_dup(struct object *obj, const struct sys_args *args)
{
	u32 rights = (u32)args->a[1];
	struct object *o, *domain;
	int r = handle_lookup((handle_t)args->a[0], OBJ_ANY, R_DUP | rights, &o);

	if (r)
		return r;
	if (rights & ~(u32)R_ALL || args->a[1] >> 32)
		return -E_INVAL;
	r = handle_lookup((handle_t)args->a[2], OBJ_DOMAIN, R_MANAGE, &domain);
	if (r)
		return r;
	object_get(o);
	return handle_install(container_of(domain, struct domain, obj), o, rights);
}

s64 sys_handle_revoke(struct object *obj, const struct sys_args *args)
{
	object_get(obj);
	object_revoke(obj);
	object_put(obj);
	return 0;
}
