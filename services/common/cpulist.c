#include "services/common/cpulist.h"

#include "lib/fmt.h"

void cpulist_print(u64 cpus, char *out, size_t size)
{
	size_t at = 0;

	out[0] = 0;
	for (u32 first = 0, last; first < 64 && at < size; first = last + 1) {
		last = first;
		if (!(cpus >> first & 1))
			continue;
		while (last < 63 && cpus >> (last + 1) & 1)
			last++;
		at += (size_t)fmt_snprintf(out + at, size - at, "%s%u", at ? "," : "", first);
		if (last > first && at < size)
			at += (size_t)fmt_snprintf(out + at, size - at, "-%u", last);
	}
}
