// SOURCES: mm/mem.c mm/aspace.c mm/kpriv.c mm/pt.c mm/pt_formats.c mm/quota.c lib/rbtree.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "arch/apic.h"
#include "arch/cpu.h"
#include "fake_mm.h"
#include "hv/up.h"
#include "mm/aspace.h"
#include "mm/window.h"

#define FREED 0x5a

/* ---- Frames are host memory; an allocation fails when frames_left is used up ---- */
static long frames_left = 1l << 40, big_frames_left = 1l << 40, frame_bytes;
static enum frame_owner last_owner;
static u64 module_start, module_end, module_freed; /* frames that no allocation gave */

bool frame_alloc_near(u32 nodes, u32 order, enum frame_owner owner, hpa_t *out)
{
	void *p;

	if (order ? big_frames_left-- <= 0 : frames_left-- <= 0)
		return false;
	p = aligned_alloc(PAGE_SIZE << order, PAGE_SIZE << order);
	memset(p, FREED, PAGE_SIZE << order);
	frame_bytes += (long)(PAGE_SIZE << order);
	last_owner = owner;
	*out = hpa((u64)p);
	return true;
}

void frame_free(hpa_t start, u32 order)
{
	if (start.v >= module_start && start.v < module_end) {
		assert_int_equal(order, 0);
		module_freed++;
		return;
	}
	frame_bytes -= (long)(PAGE_SIZE << order);
	free((void *)start.v);
}

void *window_map(enum window w, hpa_t a) { return (void *)a.v; }
void window_unmap(enum window w) {}
void window_zero(hpa_t a, u64 bytes) { memset((void *)a.v, 0, bytes); }

/* Nothing is shared with a kernel here but what shared_kernel_entries_are_copied sets. */
static u64 kernel_root[512] __aligned(4096);
struct pt *kernel_pt(void)
{
	static struct pt pt = {.root = kernel_root};

	return &pt;
}

/* ---- Upcalls ---- */
static u32 flushes;
static bool flushed_under_lock;
static bool last_reference_gone;

void up_tlb_flush(struct aspace *as, u64 mask)
{
	flushed_under_lock = as->lock.locked;
	assert_int_equal(mask, aspace_active(as)); /* every CPU that may hold entries */
	assert_true(mask);
	flushes++;
}

void *object_new(enum obj_type type, size_t bytes, struct quota *q)
{
	struct object *o = kmem_alloc(q, bytes);

	if (o)
		*o = (struct object){.type = type, .refs = 1, .bytes = (u32)bytes, .quota = q};
	return o;
}
void object_get(struct object *o) { o->refs++; }
void object_put(struct object *o) { last_reference_gone = --o->refs == 0; }

/* ---- Fixtures ---- */
static struct quota quota;

static struct mem *make_mem(u64 bytes, u32 flags)
{
	struct mem *m;

	assert_int_equal(mem_create(bytes, flags, &quota, &m), 0);
	return m;
}

static int setup(void **state)
{
	quota = (struct quota){.limit = GiB(1)};
	flushes = 0;
	frames_left = big_frames_left = fake_heap_left = 1l << 40;
	return 0;
}

static void destroy(struct mem *m)
{
	while (!mem_destroy_step(&m->obj))
		;
	kmem_free(m->obj.quota, m, m->obj.bytes);
}

static void nothing_is_left(void)
{
	assert_int_equal(quota.used, 0);
	assert_int_equal(quota.tables, 0);
	assert_int_equal(quota.populated, 0);
	assert_int_equal(fake_heap_live, 0);
	assert_int_equal(frame_bytes, 0);
}

/* ---- Memory objects ---- */

static void bad_sizes_and_flags_are_refused(void **state)
{
	static const struct {
		u64 bytes;
		u32 flags;
	} bad[] = {
		{0, 0}, {1, 0}, {PAGE_SIZE + 1, 0}, {MEM_BYTES_MAX + PAGE_SIZE, 0}, {PAGE_SIZE, 4},
	};
	struct mem *m;

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(mem_create(bad[i].bytes, bad[i].flags, &quota, &m), -E_INVAL);
	quota.limit = MiB(1);
	assert_int_equal(mem_create(MiB(1), 0, &quota, &m), -E_NOMEM);
	nothing_is_left();
}

static void creation_charges_all_and_populating_nothing_more(void **state)
{
	struct mem *m = make_mem(MiB(3), 0);
	u64 charged = quota.used, bytes, start;
	hpa_t a;

	assert_true(charged >= MiB(3) + 2 * PAGE_SIZE);
	quota.limit = charged;
	for (u64 offset = 0; offset < m->bytes; offset = start + bytes)
		assert_int_equal(mem_frame(m, offset, &a, &bytes, &start), 0);
	assert_int_equal(quota.used, charged);
	assert_int_equal(quota.populated, MiB(3));
	destroy(m);
	nothing_is_left();
}

static void guest_memory_takes_large_frames_where_whole_ones_fit(void **state)
{
	struct mem *m = make_mem(PAGE_2M + PAGE_SIZE, MEM_GUEST);
	u64 bytes, at;
	hpa_t a;

	assert_int_equal(mem_frame(m, PAGE_SIZE * 3 + 5, &a, &bytes, &at), 0);
	assert_int_equal(bytes, PAGE_2M);
	assert_int_equal(at, 0);
	assert_int_equal(last_owner, FRAME_GUEST);
	assert_int_equal(((u8 *)a.v)[PAGE_2M - 1], 0);
	assert_int_equal(mem_frame(m, PAGE_2M, &a, &bytes, &at), 0);
	assert_int_equal(bytes, PAGE_SIZE);
	assert_int_equal(at, PAGE_2M);
	assert_int_equal(mem_frame(m, PAGE_2M + PAGE_SIZE, &a, &bytes, &at), -E_INVAL);
	destroy(m);
	nothing_is_left();
}

static void without_large_frames_small_ones_serve(void **state)
{
	struct mem *m = make_mem(PAGE_2M, MEM_GUEST);
	u64 bytes, at;
	hpa_t a;

	big_frames_left = 0;
	assert_int_equal(mem_frame(m, PAGE_SIZE, &a, &bytes, &at), 0);
	assert_int_equal(bytes, PAGE_SIZE);
	big_frames_left = 1; /* the block stays in small pages */
	assert_int_equal(mem_frame(m, 0, &a, &bytes, &at), 0);
	assert_int_equal(bytes, PAGE_SIZE);
	frames_left = 0;
	assert_int_equal(mem_frame(m, 2 * PAGE_SIZE, &a, &bytes, &at), -E_NOMEM);
	destroy(m);
	nothing_is_left();
}

static void a_boot_modules_frames_are_shown_and_then_freed(void **state)
{
	enum { PAGES = 600 };
	static u8 frames[PAGES][PAGE_SIZE] __aligned(PAGE_SIZE);
	u64 base = (u64)frames, bytes, at;
	struct mem *m;
	hpa_t a;

	memset((void *)base, FREED, PAGES * PAGE_SIZE);
	assert_int_equal(mem_create_borrowed(hpa(base), PAGES * PAGE_SIZE - 10, &m), 0);
	assert_int_equal(((u8 *)base)[PAGES * PAGE_SIZE - 11], FREED);
	assert_int_equal(((u8 *)base)[PAGES * PAGE_SIZE - 10], 0);
	assert_int_equal(mem_frame(m, 5 * PAGE_SIZE + 1, &a, &bytes, &at), 0);
	assert_int_equal(a.v, base + 5 * PAGE_SIZE);
	assert_int_equal(bytes, PAGE_SIZE);
	module_start = base;
	module_end = base + PAGES * PAGE_SIZE;
	module_freed = 0;
	destroy(m);
	assert_int_equal(module_freed, PAGES);
	nothing_is_left();
}

/* ---- Address spaces ---- */

static struct aspace space;

static bool filled(struct aspace *as, u64 va, u32 pf_error)
{
	return aspace_fault(as, va, pf_error) == FAULT_MAPPED;
}

static void make_space(void)
{
	assert_int_equal(aspace_init(&space, &quota), 0);
	space.active = 1;
}

static void destroy_space(void)
{
	space.active = 0;
	while (!aspace_destroy_step(&space))
		;
}

static void bad_mappings_are_refused(void **state)
{
	struct mem *m = make_mem(MiB(1), 0);
	static const struct {
		u64 va, offset, bytes;
		u32 prot;
		int error;
	} cases[] = {
		{0, 0, PAGE_SIZE, PROT_R, -E_INVAL},
		{0x1001, 0, PAGE_SIZE, PROT_R, -E_INVAL},
		{0x1000, 1, PAGE_SIZE, PROT_R, -E_INVAL},
		{0x1000, 0, 0, PROT_R, -E_INVAL},
		{0x1000, 0, MiB(1) + PAGE_SIZE, PROT_R, -E_INVAL},
		{0x1000, MiB(1), PAGE_SIZE, PROT_R, -E_INVAL},
		{0x1000, ~0xfffull, PAGE_SIZE * 2, PROT_R, -E_INVAL},
		{USER_VA_MAX, 0, PAGE_SIZE, PROT_R, -E_INVAL},
		{USER_VA_MAX - PAGE_SIZE, 0, 2 * PAGE_SIZE, PROT_R, -E_INVAL},
		{0xffff800000000000, 0, PAGE_SIZE, PROT_R, -E_INVAL},
		{0x1000, 0, PAGE_SIZE, 0, -E_INVAL},
		{0x1000, 0, PAGE_SIZE, PROT_W, -E_INVAL},
		{0x1000, 0, PAGE_SIZE, PROT_R | PROT_W | PROT_X, -E_INVAL},
		{0x1000, 0, PAGE_SIZE, PROT_R | PT_GLOBAL, -E_INVAL},
		{MiB(1), 0, MiB(1), PROT_R, -E_EXIST},
		{MiB(1) - PAGE_SIZE, 0, 2 * PAGE_SIZE, PROT_R, -E_EXIST},
		{MiB(2) - PAGE_SIZE, 0, PAGE_SIZE, PROT_R, -E_EXIST},
		{MiB(2), 0, PAGE_SIZE, PROT_R, 0},
	};

	make_space();
	assert_int_equal(aspace_map(&space, m, MiB(1), 0, MiB(1), PROT_R), 0);
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(aspace_map(&space, m, cases[i].va, cases[i].offset, cases[i].bytes,
					    cases[i].prot),
				 cases[i].error);
	m->obj.dead = true;
	assert_int_equal(aspace_map(&space, m, MiB(9), 0, PAGE_SIZE, PROT_R), -E_DEAD);
	destroy_space();
	assert_int_equal(m->obj.refs, 1);
	destroy(m);
	nothing_is_left();
}

static void faults_fill_in_what_the_mapping_allows(void **state)
{
	struct mem *m = make_mem(MiB(4), MEM_GUEST);
	struct pt_leaf l;

	make_space();
	assert_int_equal(aspace_map(&space, m, MiB(8) - PAGE_SIZE, PAGE_SIZE, MiB(3), PROT_R), 0);
	assert_false(filled(&space, MiB(7), PF_USER));
	assert_false(filled(&space, MiB(8), PF_USER | PF_WRITE));
	assert_false(filled(&space, MiB(8), PF_USER | PF_FETCH));
	assert_false(filled(&space, MiB(8), PF_USER | PF_RSVD | PF_PRESENT));
	assert_true(filled(&space, MiB(8) + 5, PF_USER));
	assert_true(filled(&space, MiB(8) + 5, PF_USER | PF_PRESENT)); /* lost race */
	assert_true(pt_lookup(&space.pt, MiB(8) - PAGE_SIZE, &l));
	assert_int_equal(*l.entry, pt_leaf_entry(&pt_host_format, l.start.v, PT_R | PT_USER, 1));
	assert_false(pt_lookup(&space.pt, MiB(8) - 2 * PAGE_SIZE, &l));
	assert_true(filled(&space, MiB(11) - PAGE_SIZE - 1, PF_USER));
	/* the mapping ends, the frame does not */
	assert_false(pt_lookup(&space.pt, MiB(11) - PAGE_SIZE, &l));
	frames_left = big_frames_left = 0;
	destroy_space();
	destroy(m);
	nothing_is_left();
}

static void aligned_guest_memory_is_mapped_in_large_pages(void **state)
{
	struct mem *m = make_mem(MiB(4), MEM_GUEST);
	struct pt_leaf l;

	make_space();
	assert_int_equal(aspace_map(&space, m, MiB(8), 0, MiB(4), PROT_R | PROT_W), 0);
	assert_true(filled(&space, MiB(11), PF_USER | PF_WRITE));
	assert_true(pt_lookup(&space.pt, MiB(10), &l));
	assert_int_equal(l.bytes, PAGE_2M);
	destroy_space();
	destroy(m);
	nothing_is_left();
}

static int unmap(struct aspace *as, u64 va, u64 bytes)
{
	int r;

	while ((r = aspace_unmap_step(as, va, bytes)) > 0)
		;
	return r;
}

static void unmap_takes_whole_mappings_and_flushes(void **state)
{
	struct mem *m = make_mem(MiB(1), 0);
	struct pt_leaf l;

	make_space();
	for (u64 va = MiB(1); va < MiB(4); va += MiB(1))
		assert_int_equal(aspace_map(&space, m, va, 0, MiB(1), PROT_R), 0);
	assert_int_equal(m->obj.refs, 4);
	assert_true(filled(&space, MiB(2), PF_USER));
	assert_int_equal(unmap(&space, MiB(2), PAGE_SIZE), -E_INVAL);
	assert_int_equal(unmap(&space, MiB(1) + PAGE_SIZE, MiB(2)), -E_INVAL);
	assert_int_equal(m->obj.refs, 4);
	assert_int_equal(unmap(&space, MiB(3), MiB(5)), 0);
	assert_int_equal(flushes, 1);
	assert_int_equal(unmap(&space, PAGE_SIZE, MiB(3) - PAGE_SIZE), 0);
	assert_int_equal(flushes, 3);
	assert_int_equal(m->obj.refs, 1);
	assert_true(list_empty(&m->mappings));
	assert_false(pt_lookup(&space.pt, MiB(2), &l));
	assert_false(filled(&space, MiB(2), PF_USER));
	assert_int_equal(unmap(&space, MiB(1), MiB(1)), 0);
	assert_int_equal(flushes, 3); /* nothing was there */
	destroy_space();
	destroy(m);
	nothing_is_left();
}

static void a_large_mapping_goes_in_bounded_steps(void **state)
{
	struct mem *m = make_mem(MiB(8), 0);
	struct pt_leaf l;
	u32 steps = 1;

	make_space();
	assert_int_equal(aspace_map(&space, m, MiB(8), 0, MiB(8), PROT_R), 0);
	for (u64 va = MiB(8); va < MiB(16); va += PAGE_SIZE)
		assert_true(filled(&space, va, PF_USER));
	assert_int_equal(aspace_unmap_step(&space, MiB(8), MiB(8)), 1);
	assert_false(pt_lookup(&space.pt, MiB(10) - PAGE_SIZE, &l));
	assert_true(pt_lookup(&space.pt, MiB(10), &l));
	assert_false(filled(&space, MiB(8), PF_USER)); /* what is gone stays gone */
	assert_true(filled(&space, MiB(12), PF_USER));
	assert_int_equal(m->obj.refs, 2); /* its frames are held */
	while (aspace_unmap_step(&space, MiB(8), MiB(8)) > 0)
		steps++;
	assert_int_equal(steps, 4);
	assert_int_equal(flushes, 1);
	assert_int_equal(m->obj.refs, 1);
	destroy_space();
	destroy(m);
	nothing_is_left();
}

static void kernel_pages_are_the_kernels_to_unmap(void **state)
{
	void *page = kmem_alloc(kernel_quota, PAGE_SIZE);
	struct mem *m = make_mem(MiB(1), 0);
	struct pt_leaf l;

	make_space();
	assert_int_equal(aspace_map_kernel_page(&space, MiB(1), page, PROT_R | PROT_X), -E_INVAL);
	assert_int_equal(aspace_map_kernel_page(&space, USER_VA_MAX, page, PROT_R), -E_INVAL);
	assert_int_equal(aspace_map_kernel_page(&space, MiB(1), page, PROT_R | PROT_W), 0);
	assert_true(pt_lookup(&space.pt, MiB(1), &l));
	assert_int_equal(l.start.v, (u64)page);
	assert_int_equal(*l.entry,
			 pt_leaf_entry(&pt_host_format, l.start.v, PT_R | PT_W | PT_USER, 1));
	assert_int_equal(aspace_map(&space, m, MiB(1), 0, PAGE_SIZE, PROT_R), -E_EXIST);
	assert_int_equal(aspace_map_kernel_page(&space, MiB(1), page, PROT_R), -E_EXIST);
	assert_int_equal(unmap(&space, MiB(1), PAGE_SIZE), -E_INVAL);
	assert_false(filled(&space, MiB(1), PF_USER | PF_WRITE));
	aspace_unmap_kernel_page(&space, MiB(2));
	aspace_unmap_kernel_page(&space, MiB(1));
	assert_int_equal(flushes, 1);
	assert_false(pt_lookup(&space.pt, MiB(1), &l));
	destroy_space();
	destroy(m);
	kmem_free(kernel_quota, page, PAGE_SIZE);
	nothing_is_left();
}

/* As kernel/vm.c does. */
static void make_vm(struct aspace *as)
{
	*as = (struct aspace){.quota = &quota, .guest = true};
	assert_int_equal(pt_init(&as->pt, &pt_ept_format, &quota), 0);
}

static void end_vm(struct aspace *as)
{
	while (!aspace_clear_step(as))
		;
	while (!pt_destroy_step(&as->pt, BIT(48)))
		;
}

static void a_vms_memory_is_an_address_space(void **state)
{
	struct mem *m = make_mem(MiB(4), MEM_GUEST);
	struct aspace vm;
	u64 before;
	struct pt_leaf l;
	hpa_t a;

	make_vm(&vm);
	assert_int_equal(aspace_map(&vm, m, 0, 0, MiB(2), PROT_R | PROT_W), 0);
	assert_int_equal(aspace_map(&vm, m, BIT(46) - PAGE_SIZE, MiB(2), PAGE_SIZE, PROT_R), 0);
	assert_int_equal(aspace_map(&vm, m, BIT(46), 0, PAGE_SIZE, PROT_R), -E_INVAL);
	assert_int_equal(aspace_map(&vm, m, MiB(1), 0, PAGE_SIZE, PROT_R), -E_EXIST);
	assert_int_equal(aspace_map(&vm, m, APIC_DEFAULT_BASE - PAGE_SIZE, 0, MiB(1), PROT_R),
			 -E_INVAL);
	assert_int_equal(aspace_map(&vm, m, APIC_DEFAULT_BASE, 0, PAGE_SIZE, PROT_R), -E_INVAL);
	assert_false(aspace_lookup(&vm, 5, PROT_R, &a));
	assert_int_equal(aspace_fault(&vm, 5, PF_WRITE), FAULT_MAPPED);
	assert_true(aspace_lookup(&vm, 5, PROT_R, &a));
	assert_true(pt_lookup(&vm.pt, 5, &l));
	assert_int_equal(a.v, l.start.v + 5);
	assert_int_equal(*l.entry, pt_leaf_entry(&pt_ept_format, l.start.v, PT_R | PT_W | PT_X, 1));
	assert_int_equal(aspace_fault(&vm, BIT(46) - 1, PF_WRITE), FAULT_NONE);
	assert_int_equal(aspace_fault(&vm, BIT(46) - 1, PF_FETCH), FAULT_MAPPED);
	assert_true(aspace_lookup(&vm, BIT(46) - 1, PROT_R, &a));
	assert_false(aspace_lookup(&vm, BIT(46) - 1, PROT_W, &a));
	assert_true(aspace_lookup(&vm, 5, PROT_W, &a));
	assert_int_equal(aspace_fault(&vm, MiB(2), 0), FAULT_NONE);
	vm.active = 1;
	before = vm.epoch;
	assert_int_equal(aspace_unmap_step(&vm, 0, MiB(2)), 1);
	assert_int_equal(aspace_unmap_step(&vm, 0, MiB(2)), 0);
	assert_int_equal(flushes, 1);
	assert_int_not_equal(vm.epoch, before); /* vCPUs that are loaded nowhere see it */
	assert_false(aspace_lookup(&vm, 5, PROT_R, &a));
	end_vm(&vm);
	destroy(m);
	nothing_is_left();
}

static void a_vm_has_few_mappings_and_its_end_takes_few_steps(void **state)
{
	struct mem *m = make_mem(MiB(8), 0);
	struct aspace vm;
	u32 steps = 0;

	make_vm(&vm);
	for (u64 i = 0; i < VM_MAPPINGS; i++)
		assert_int_equal(aspace_map(&vm, m, i * MiB(8), 0, MiB(8), PROT_R), 0);
	assert_int_equal(aspace_map(&vm, m, GiB(1), 0, MiB(8), PROT_R), -E_NOMEM);
	for (u64 at = 0; at < MiB(8); at += PAGE_SIZE)
		assert_int_equal(aspace_fault(&vm, at, 0), FAULT_MAPPED);
	assert_int_equal(aspace_unmap_step(&vm, MiB(8), MiB(8)), 1);
	while (aspace_unmap_step(&vm, MiB(8), MiB(8)) > 0)
		;
	assert_int_equal(aspace_map(&vm, m, GiB(1), 0, MiB(8), PROT_R), 0);
	while (!aspace_clear_step(&vm)) /* though 2,048 entries are there */
		steps++;
	assert_int_equal(steps, VM_MAPPINGS);
	assert_int_equal(aspace_map(&vm, m, 0, 0, PAGE_SIZE, PROT_R), -E_DEAD);
	end_vm(&vm);
	destroy(m);
	nothing_is_left();
}

static void a_revoked_object_is_mapped_nowhere(void **state)
{
	struct mem *m = make_mem(MiB(2), 0);
	struct aspace vm;
	struct pt_leaf l;

	make_space();
	for (u64 va = MiB(2); va < MiB(10); va += MiB(2)) {
		assert_int_equal(aspace_map(&space, m, va, 0, MiB(2), PROT_R | PROT_W), 0);
		assert_true(filled(&space, va, PF_USER | PF_WRITE));
	}
	make_vm(&vm);
	assert_int_equal(aspace_map(&vm, m, 0, 0, MiB(2), PROT_R), 0);
	vm.active = 6; /* vCPUs are loaded on two CPUs */
	assert_int_equal(m->obj.refs, 6);
	m->obj.dead = true;
	while (!mem_unmap_step(m))
		;
	assert_int_equal(m->obj.refs, 1);
	assert_int_equal(flushes, 5);
	assert_true(flushed_under_lock); /* or another unmap returned before it */
	end_vm(&vm);
	for (u64 va = MiB(2); va < MiB(10); va += MiB(2))
		assert_false(pt_lookup(&space.pt, va, &l));
	assert_false(m->lock.locked);
	destroy_space();
	destroy(m);
	nothing_is_left();
}

static void a_cleared_space_holds_no_object_and_takes_none(void **state)
{
	struct mem *m = make_mem(PAGE_SIZE, 0);
	struct pt_leaf l;

	make_space();
	for (u64 i = 1; i <= 200; i++)
		assert_int_equal(aspace_map(&space, m, i * PAGE_2M, 0, PAGE_SIZE, PROT_R), 0);
	assert_true(filled(&space, PAGE_2M, PF_USER));
	assert_false(aspace_clear_step(&space));
	while (!aspace_clear_step(&space))
		;
	assert_int_equal(m->obj.refs, 1);
	assert_int_equal(flushes, 200);
	assert_false(pt_lookup(&space.pt, PAGE_2M, &l));
	assert_int_equal(aspace_map(&space, m, PAGE_2M, 0, PAGE_SIZE, PROT_R), -E_DEAD);
	destroy_space();
	destroy(m);
	nothing_is_left();
}

static void the_private_slot_gives_guarded_zeroed_pages(void **state)
{
	struct pt_leaf l;
	hpa_t a, b, at;
	void *p, *q;

	make_space();
	p = kpriv_alloc(&space, &a);
	q = kpriv_alloc(&space, &b);
	assert_int_equal((u64)p, KPRIV_BASE + PAGE_SIZE);
	assert_int_equal((u64)q, KPRIV_BASE + KPRIV_CELL + PAGE_SIZE);
	assert_int_equal(last_owner, FRAME_PRIVATE);
	assert_false(pt_lookup(&space.pt, (u64)p - 1, &l));
	assert_true(pt_lookup(&space.pt, (u64)p + PAGE_SIZE, &l));
	assert_int_equal(*l.entry, pt_leaf_entry(&pt_host_format, l.start.v, PT_R | PT_W, 1));
	assert_false(pt_lookup(&space.pt, (u64)p + 2 * PAGE_SIZE, &l));
	assert_false(pt_lookup(&space.pt, (u64)q + 2 * PAGE_SIZE, &l));
	assert_true(aspace_lookup(&space, (u64)p + 3, PROT_R, &at));
	assert_int_equal(at.v, a.v + 3);
	assert_true(aspace_lookup(&space, (u64)q + PAGE_SIZE, PROT_R, &at));
	assert_int_equal(at.v, b.v + PAGE_SIZE);
	assert_int_equal(((u8 *)b.v)[77], 0);
	kpriv_free(&space, p);
	assert_int_equal(flushes, 1);
	assert_true(flushed_under_lock); /* or another thread took the cell too early */
	assert_false(pt_lookup(&space.pt, (u64)p, &l));
	assert_ptr_equal(kpriv_alloc(&space, &a), p);
	kpriv_free(&space, p);
	kpriv_free(&space, q);
	destroy_space();
	nothing_is_left();
}

static void a_failed_private_allocation_leaves_nothing(void **state)
{
	hpa_t a;

	make_space();
	fake_heap_left = 2; /* of the three tables needed */
	assert_null(kpriv_alloc(&space, &a));
	fake_heap_left = 9;
	big_frames_left = 0;
	assert_null(kpriv_alloc(&space, &a));
	big_frames_left = 9;
	quota.limit = quota.used + PAGE_SIZE;
	assert_null(kpriv_alloc(&space, &a));
	destroy_space();
	nothing_is_left();
}

#define T(f) cmocka_unit_test_setup(f, setup)

static void an_address_space_shares_the_kernels_half_but_the_private_slot(void **state)
{
	kernel_root[0] = 0x4003;
	kernel_root[256] = 0x1003;
	kernel_root[510] = 0x2003; /* KPRIV */
	kernel_root[511] = 0x3003;
	quota = (struct quota){.limit = GiB(1)};
	make_space();
	assert_int_equal(space.pt.root[0], 0);
	assert_int_equal(space.pt.root[256], 0x1003);
	assert_int_equal(space.pt.root[510], 0);
	assert_int_equal(space.pt.root[511], 0x3003);
	memset(kernel_root, 0, sizeof(kernel_root));
	destroy_space();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bad_sizes_and_flags_are_refused),
		T(creation_charges_all_and_populating_nothing_more),
		T(guest_memory_takes_large_frames_where_whole_ones_fit),
		T(without_large_frames_small_ones_serve),
		T(a_boot_modules_frames_are_shown_and_then_freed),
		T(bad_mappings_are_refused),
		T(an_address_space_shares_the_kernels_half_but_the_private_slot),
		T(faults_fill_in_what_the_mapping_allows),
		T(aligned_guest_memory_is_mapped_in_large_pages),
		T(unmap_takes_whole_mappings_and_flushes),
		T(a_large_mapping_goes_in_bounded_steps),
		T(kernel_pages_are_the_kernels_to_unmap),
		T(a_vms_memory_is_an_address_space),
		T(a_vm_has_few_mappings_and_its_end_takes_few_steps),
		T(a_revoked_object_is_mapped_nowhere),
		T(a_cleared_space_holds_no_object_and_takes_none),
		T(the_private_slot_gives_guarded_zeroed_pages),
		T(a_failed_private_allocation_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
