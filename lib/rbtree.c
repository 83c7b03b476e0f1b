#include "lib/rbtree.h"

static bool is_red(const struct rb_node *n)
{
	return n && n->red;
}

/* The pointer that leads to n: its parent's child or the root. */
static struct rb_node **link_to(struct rb_tree *t, struct rb_node *n)
{
	if (!n->parent)
		return &t->root;
	return n->parent->left == n ? &n->parent->left : &n->parent->right;
}

/* The child of n on the other side takes n's place; n goes down to the left (or right). */
static void rotate(struct rb_tree *t, struct rb_node *n, bool left)
{
	struct rb_node *up = left ? n->right : n->left;
	struct rb_node *inner = left ? up->left : up->right;

	*link_to(t, n) = up;
	up->parent = n->parent;
	if (left) {
		up->left = n;
		n->right = inner;
	} else {
		up->right = n;
		n->left = inner;
	}
	n->parent = up;
	if (inner)
		inner->parent = n;
}

void rb_insert(struct rb_tree *t, struct rb_node *n, rb_less_fn less)
{
	struct rb_node **link = &t->root, *parent = NULL;
	bool leftmost = true;

	while (*link) {
		parent = *link;
		if (less(n, parent)) {
			link = &parent->left;
		} else {
			link = &parent->right;
			leftmost = false;
		}
	}
	*n = (struct rb_node){.parent = parent, .red = true};
	*link = n;
	if (leftmost)
		t->first = n;

	while (is_red(n->parent)) { /* a red parent is never the root: the grandparent exists */
		struct rb_node *p = n->parent, *g = p->parent;
		bool p_left = g->left == p;
		struct rb_node *uncle = p_left ? g->right : g->left;

		if (is_red(uncle)) {
			p->red = uncle->red = false;
			g->red = true;
			n = g;
			continue;
		}
		if (n == (p_left ? p->right : p->left)) {
			rotate(t, p, p_left);
			p = n;
		}
		p->red = false;
		g->red = true;
		rotate(t, g, !p_left);
		break;
	}
	t->root->red = false;
}

/* The side of parent p where n hangs (n may be NULL) lacks one black node. */
static void erase_fixup(struct rb_tree *t, struct rb_node *n, struct rb_node *p)
{
	while (p && !is_red(n)) {
		bool left = p->left == n;
		struct rb_node *s = left ? p->right : p->left;

		if (s->red) {
			s->red = false;
			p->red = true;
			rotate(t, p, left);
			s = left ? p->right : p->left;
		}
		if (!is_red(s->left) && !is_red(s->right)) {
			s->red = true;
			n = p;
			p = n->parent;
			continue;
		}
		struct rb_node *outer = left ? s->right : s->left;

		if (!is_red(outer)) {
			(left ? s->left : s->right)->red = false;
			s->red = true;
			rotate(t, s, !left);
			s = left ? p->right : p->left;
			outer = left ? s->right : s->left;
		}
		s->red = p->red;
		p->red = false;
		outer->red = false;
		rotate(t, p, left);
		return;
	}
	if (n)
		n->red = false;
}

void rb_erase(struct rb_tree *t, struct rb_node *n)
{
	struct rb_node *child, *parent;
	bool was_red;

	if (t->first == n)
		t->first = rb_next(n);
	/* With two children the successor takes n's place and colour; its old place is what goes. */
	if (n->left && n->right) {
		struct rb_node *s = n->right;

		while (s->left)
			s = s->left;
		child = s->right;
		parent = s->parent == n ? s : s->parent;
		was_red = s->red;
		if (s->parent != n) {
			s->parent->left = child;
			if (child)
				child->parent = s->parent;
			s->right = n->right;
			s->right->parent = s;
		}
		*link_to(t, n) = s;
		s->parent = n->parent;
		s->left = n->left;
		s->left->parent = s;
		s->red = n->red;
	} else {
		child = n->left ? n->left : n->right;
		parent = n->parent;
		was_red = n->red;
		*link_to(t, n) = child;
		if (child)
			child->parent = parent;
	}
	if (!was_red)
		erase_fixup(t, child, parent);
	*n = (struct rb_node){0};
}

static struct rb_node *step(const struct rb_node *n, bool forward)
{
	struct rb_node *c = forward ? n->right : n->left;

	if (c) {
		for (struct rb_node *d; (d = forward ? c->left : c->right);)
			c = d;
		return c;
	}
	while (n->parent && n == (forward ? n->parent->right : n->parent->left))
		n = n->parent;
	return n->parent;
}

struct rb_node *rb_next(const struct rb_node *n)
{
	return step(n, true);
}

struct rb_node *rb_prev(const struct rb_node *n)
{
	return step(n, false);
}
