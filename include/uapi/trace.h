/*
 * The trace: what a CPU did and when, in records that only it writes. sys_ctl switches it on and
 * reads it. tools/trace takes the layout and the names from here and from include/hv/exit.h.
 */
#pragma once

#include "uapi/abi.h"

enum trace_kind {
	TRACE_SWITCH, /* another thread runs: name, of its domain */
	TRACE_WAKE,   /* a thread that waited may run, on CPU `ran`; name as above */
	/* an event goes into the guest: a: bits 0-7 vector, 8-10 type (0 = interrupt) */
	TRACE_INJECT,
	/*
	 * the guest ran for `ran` ticks up to now: TRACE_EXIT + enum hv_exit_reason; a: rip; b: the
	 * MSR; EAX of CPUID and hypercalls; else the first bytes of what struct hv_exit has for it
	 */
	TRACE_EXIT,
};

#define TRACE_NO_VCPU 0xff

struct trace_record {
	u64 tsc;
	u32 ran; /* at most ~0 */
	u16 vm;	 /* low bits of the number that the log has for it; 0: none */
	u8 vcpu; /* TRACE_NO_VCPU: none */
	u8 kind;
	union {
		struct {
			u64 a, b;
		};
		char name[16]; /* what has room, and a zero */
	};
};
static_assert(sizeof(struct trace_record) == 32, "tools/trace unpacks 32 bytes");

#define TRACE_RECORDS 4096u /* of a CPU, and of these one may be in the writing */
#define TRACE_CHUNK 8u	    /* records that one call copies */

struct trace_read { /* SYSOP_TRACE_READ */
	/* in: first record wanted, from 0; out: first one copied: those between are lost */
	u64 pos;
	u32 cpu;
	u32 records; /* in: room in buf; out: copied, at most TRACE_CHUNK */
	u64 head;    /* out: how many the CPU has written */
	u64 buf;     /* user address */
};
