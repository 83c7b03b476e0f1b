/* Memory that is taken before it is touched. */
#include "user/rt.h"
#include "user/sys.h"

/*
 * By a call that reads a few bytes of each page, and then refuses: where there is no memory that
 * call has an error, while a plain access would end the program.
 */
u64 rt_populate(const void *p, u64 bytes)
{
	for (u64 at = 0; at < bytes; at += PAGE_SIZE)
		if (domain_create(0, (const char *)p + at) == -E_FAULT)
			return at;
	return bytes;
}
