/* Doubly linked list; the links live in the members. */
#pragma once

#include "lib/types.h"

struct list {
	struct list *next, *prev;
};

/* clang-format off */
#define LIST_INIT(l) {&(l), &(l)}
/* clang-format on */

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

/* As the last one of l; with a member for l: before that member. */
static inline void list_push_back(struct list *l, struct list *n)
{
	n->prev = l->prev;
	n->next = l;
	l->prev->next = n;
	l->prev = n;
}

static inline void list_push_front(struct list *l, struct list *n) { list_push_back(l->next, n); }

/* Leaves n as an empty list of its own, so that a second removal does no harm. */
static inline void list_del(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

static inline struct list *list_pop_front(struct list *l)
{
	struct list *n = l->next;

	if (n == l)
		return NULL;
	list_del(n);
	return n;
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_for_each(pos, l) for (struct list *pos = (l)->next; pos != (l); pos = pos->next)
