/*
 * The kernel heap on the host: physical addresses are host addresses. fake_heap_left counts down to
 * the allocation that fails; fake_heap_live counts what was not freed.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "hv/facts.h"
#include "lib/assert.h"
#include "mm/frame.h"
#include "mm/kmem.h"
#include "uapi/abi.h"

struct cpu_facts cpu_facts = {.page_1g = true};
static long fake_heap_left = 1l << 40, fake_heap_live;
static struct quota kernels = {.limit = ~0ull};
struct quota *const kernel_quota = &kernels;

void assert_fail(const char *expr, const char *file, int line)
{
	mock_assert(0, expr, file, line);
	__builtin_unreachable();
}

static void *fake_heap(struct quota *q, size_t charge, size_t align)
{
	void *p;

	if (fake_heap_left <= 0 || !quota_charge(q, charge))
		return NULL;
	fake_heap_left--;
	fake_heap_live++;
	p = aligned_alloc(align, ALIGN_UP(charge, align));
	return memset(p, 0, charge);
}

void *kmem_alloc(struct quota *q, size_t size)
{
	return fake_heap(q, size, size < PAGE_SIZE ? 64 : PAGE_SIZE);
}

void kmem_free(struct quota *q, void *p, size_t size)
{
	fake_heap_live--;
	quota_uncharge(q, size);
	free(p);
}

hpa_t kva_to_hpa(const void *p) { return hpa((u64)p); }
void *hpa_to_kva(hpa_t a) { return (void *)a.v; }
