/* What the files of the runtime share. */
#pragma once

#include "lib/types.h"
#include "uapi/abi.h"

/* A stack ends at a multiple of it, where the thread finds its information. */
#define RT_STACK_SIZE KiB(64)
#define RT_THREAD_STACK KiB(16) /* what threads but the main one have of it */
#define RT_EXIT_ASSERT 250	/* a domain's exit status after a broken invariant */

/*
 * Fresh zeroed memory, mapped readable and writable for good. bytes: of whole pages. NULL: no
 * memory.
 */
void *rt_pages(u64 bytes);

/* The last 64 bytes of each stack. [I] immutable once the thread runs */
struct rt_thread_info {
	struct msg_page *msg; /* [I] */
	void (*fn)(void *);   /* [I] NULL for the main thread */
	void *arg;	      /* [I] */
	handle_t handle;      /* [I] */
	u32 reserved;
	u64 pad[4];
};
