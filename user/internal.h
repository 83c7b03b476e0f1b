/* What the files of the runtime share. */
#pragma once

#include "lib/types.h"
#include "uapi/abi.h"

#define RT_STACK_SIZE KiB(64)
#define RT_EXIT_ASSERT 250 /* a domain's exit status after a broken invariant */

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
