/*
 * The heap: first fit with boundary tags. Blocks lie end to end in arenas; an arena is a memory
 * object of 1 MiB or more and ends with a used block of size 0. Two free blocks never stand side by
 * side.
 */
#include "lib/assert.h"
#include "lib/string.h"
#include "user/internal.h"
#include "user/rt.h"

#define ARENA_BYTES MiB(1)
#define ALIGNMENT 16u
#define USED 1u

/* Sizes include the header and are multiples of 16. */
struct block {
	size_t before;		   /* size of the block before; 0 = first of its arena */
	size_t size;		   /* bit 0 = used */
	struct block *next, *prev; /* free blocks only */
};

#define HEADER offsetof(struct block, next)
static_assert(HEADER == ALIGNMENT, "payload is aligned");
#define SMALLEST sizeof(struct block)

static struct {
	struct rt_mutex lock;
	struct block *free; /* under lock */
} heap;

static struct block *block_after(struct block *b)
{
	return (struct block *)((u8 *)b + (b->size & ~(size_t)USED));
}

static void free_list_push(struct block *b)
{
	b->prev = NULL;
	b->next = heap.free;
	if (heap.free)
		heap.free->prev = b;
	heap.free = b;
}

static void free_list_remove(struct block *b)
{
	if (b->prev)
		b->prev->next = b->next;
	else
		heap.free = b->next;
	if (b->next)
		b->next->prev = b->prev;
}

static struct block *arena_add(size_t need)
{
	size_t bytes = ALIGN_UP(need + HEADER, ARENA_BYTES);
	struct block *b = rt_pages(bytes), *end;

	if (!b)
		return NULL;
	b->before = 0;
	b->size = bytes - HEADER;
	end = block_after(b);
	end->before = b->size;
	end->size = USED;
	free_list_push(b);
	return b;
}

/* Leaves `need` bytes in b, and makes a free block of the rest when it is large enough. */
static void block_split(struct block *b, size_t need)
{
	struct block *rest;

	if (b->size - need < SMALLEST)
		return;
	rest = (struct block *)((u8 *)b + need);
	rest->before = need;
	rest->size = b->size - need;
	block_after(rest)->before = rest->size;
	b->size = need;
	free_list_push(rest);
}

void *rt_alloc(size_t n)
{
	size_t need = MAX(ALIGN_UP(n + HEADER, ALIGNMENT), SMALLEST);
	struct block *b;

	if (n > GiB(64))
		return NULL;
	rt_lock(&heap.lock);
	for (b = heap.free; b && b->size < need; b = b->next)
		;
	if (!b)
		b = arena_add(need);
	if (b) {
		free_list_remove(b);
		block_split(b, need);
		b->size |= USED;
	}
	rt_unlock(&heap.lock);
	return b ? memset((u8 *)b + HEADER, 0, need - HEADER) : NULL;
}

void rt_free(void *p)
{
	struct block *b, *n;

	if (!p)
		return;
	b = (struct block *)((u8 *)p - HEADER);
	rt_lock(&heap.lock);
	ASSERT(b->size & USED);
	b->size &= ~(size_t)USED;
	n = block_after(b);
	if (!(n->size & USED)) {
		free_list_remove(n);
		b->size += n->size;
	}
	if (b->before) {
		n = (struct block *)((u8 *)b - b->before);
		if (!(n->size & USED)) {
			free_list_remove(n);
			n->size += b->size;
			b = n;
		}
	}
	block_after(b)->before = b->size;
	free_list_push(b);
	rt_unlock(&heap.lock);
}
