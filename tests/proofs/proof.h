/*
 * Bounded proofs with CBMC: each function proof_*() is an entry point; nondet_u32() stands for all
 * values of the type, ASSUME narrows them, PROVE must hold for all that are left. Out-of-bounds
 * accesses, bad shifts and loops that go on are refuted by CBMC itself.
 */
#pragma once

#include "lib/types.h"

u8 nondet_u8(void);
u32 nondet_u32(void);
u64 nondet_u64(void);
bool nondet_bool(void);

#define ASSUME(e) __CPROVER_assume(e)
#define PROVE(e) __CPROVER_assert(e, #e)
