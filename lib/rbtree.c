#include "lib/rbtree.h"

/* The pointer that leads to n: its parent's child or the root. */
static struct rb_node **link_to(struct rb_tree *t, struct rb_node *n)
{
	if (!n->parent)
		return &t->root;
	return n->parent->left == n ? &n->parent->left : &n->parent->right;
}

/* Rotates n, no root, into its parent's place; the parent becomes its child on the other side. */
static void lift(struct rb_tree *t, struct rb_node *n)
{
	struct rb_node *p = n->parent;
	struct rb_node **outer = p->left == n ? &p->left : &p->right;
	struct rb_node **inner = p->left == n ? &n->right : &n->left;

	*link_to(t, p) = n;
	n->parent = p->parent;
	*outer = *inner;
	if (*inner)
		(*inner)->parent = p;
	*inner = p;
	p->parent = n;
}

/*
 * Mixed from the time and the address: nobody outside can choose it. The constant is 2^64 / golden
 * ratio.
 */
static u64 random_rank(const struct rb_node *n)
{
	u64 x = (__builtin_ia32_rdtsc() ^ (u64)(uintptr_t)n) * 0x9e3779b97f4a7c15ull;

	return (x ^ x >> 32) * 0x9e3779b97f4a7c15ull;
}

void rb_insert(struct rb_tree *t, struct rb_node *n, rb_less_fn less)
{
	struct rb_node **link = &t->root, *parent = NULL;
	bool leftmost = true;

	while (*link) {
		bool before = less(n, *link);

		parent = *link;
		link = before ? &parent->left : &parent->right;
		leftmost = leftmost && before;
	}
	*n = (struct rb_node){.parent = parent, .rank = random_rank(n)};
	*link = n;
	if (leftmost)
		t->first = n;
	while (n->parent && n->parent->rank < n->rank)
		lift(t, n);
}

/* Goes down until it has no second child. */
void rb_erase(struct rb_tree *t, struct rb_node *n)
{
	struct rb_node *child;

	if (t->first == n)
		t->first = rb_next(n);
	while (n->left && n->right)
		lift(t, n->left->rank > n->right->rank ? n->left : n->right);
	child = n->left ? n->left : n->right;
	*link_to(t, n) = child;
	if (child)
		child->parent = n->parent;
	*n = (struct rb_node){0};
}

struct rb_node *rb_next(const struct rb_node *n)
{
	struct rb_node *next = n->right;

	while (next && next->left)
		next = next->left;
	if (next)
		return next;
	while (n->parent && n == n->parent->right)
		n = n->parent;
	return n->parent;
}
