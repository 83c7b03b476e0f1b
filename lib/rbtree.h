/*
 * Randomly balanced binary tree (a treap); nodes live in the members, the order is the caller's.
 * Depth is logarithmic whatever the order of insertion, since nobody can foresee the ranks.
 */
#pragma once

#include "lib/types.h"

struct rb_node {
	struct rb_node *left, *right, *parent;
	u64 rank; /* random; no child's is higher than its parent's */
};

struct rb_tree {
	struct rb_node *root;
	struct rb_node *first; /* leftmost node, NULL when empty */
};

/* True when a must stand before b. Equal nodes keep their order of insertion. */
typedef bool (*rb_less_fn)(const struct rb_node *a, const struct rb_node *b);

void rb_insert(struct rb_tree *t, struct rb_node *n, rb_less_fn less);
void rb_erase(struct rb_tree *t, struct rb_node *n);
struct rb_node *rb_next(const struct rb_node *n);

static inline struct rb_node *rb_first(const struct rb_tree *t) { return t->first; }
