/*
 * What every fuzz target starts from: libFuzzer's entry point, a reader of its bytes, and a check
 * that makes a finding. A target keeps nothing from one input to the next.
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n);

/* A broken property is a finding like a sanitizer's: the input is kept. */
#define FUZZ_CHECK(e, ...)                                                                         \
	do {                                                                                       \
		if (!(e)) {                                                                        \
			fprintf(stderr, "%s:%d: broken: %s: ", __FILE__, __LINE__, #e);            \
			fprintf(stderr, "" __VA_ARGS__);                                           \
			fputc('\n', stderr);                                                       \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct fuzz_input {
	const u8 *at;
	size_t left;
};

/* The next bytes (at most 8) as a little-endian number; behind the end all are 0. */
static inline u64 fuzz_take(struct fuzz_input *f, u32 bytes)
{
	u64 v = 0;

	for (u32 i = 0; i < bytes && f->left; i++, f->left--)
		v |= (u64)*f->at++ << i * 8;
	return v;
}

static inline u8 fuzz_u8(struct fuzz_input *f) { return (u8)fuzz_take(f, 1); }
static inline u16 fuzz_u16(struct fuzz_input *f) { return (u16)fuzz_take(f, 2); }
static inline u32 fuzz_u32(struct fuzz_input *f) { return (u32)fuzz_take(f, 4); }
static inline u64 fuzz_u64(struct fuzz_input *f) { return fuzz_take(f, 8); }

/* 0..max. */
static inline u64 fuzz_upto(struct fuzz_input *f, u64 max)
{
	return max == ~0ull ? fuzz_u64(f) : fuzz_u32(f) % (max + 1);
}

/* Fills n bytes at p; what the input lacks stays. */
static inline void fuzz_fill(struct fuzz_input *f, void *p, size_t n)
{
	n = MIN(n, f->left);
	if (n)
		memcpy(p, f->at, n);
	f->at += n;
	f->left -= n;
}

/* A copy that ends where the bytes end, so that one read too far is seen. To be freed. */
static inline void *fuzz_exact(const void *data, size_t n)
{
	void *p = malloc(n ? n : 1);

	if (!p)
		abort();
	if (n)
		memcpy(p, data, n);
	return p;
}

/* The same with a zero behind it. */
static inline char *fuzz_text(const void *data, size_t n)
{
	char *p = malloc(n + 1);

	if (!p)
		abort();
	if (n)
		memcpy(p, data, n);
	p[n] = 0;
	return p;
}
