/* What a mapping's removal leaves behind until every CPU has flushed: debug builds follow it. */
#pragma once

#ifdef CAISSON_DEBUG
#include "mm/unmap_debug.h"
#else
struct unmap_stamp {
};
#define unmap_stamp_note(stamp, cpu_mask) ((void)(cpu_mask))
#define unmap_flushing(cpu) ((void)(cpu))
#define unmap_stamp_check(stamp) ((void)(stamp))
#endif
