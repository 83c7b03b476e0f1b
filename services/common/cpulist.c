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

bool cpulist_parse(const char *text, u64 *cpus)
{
	*cpus = 0;
	do {
		const char *end;
		u64 first, last;

		if (!fmt_parse_u64(text, &end, &first))
			return false;
		last = first;
		if (*end == '-' && !fmt_parse_u64(end + 1, &end, &last))
			return false;
		if (last > 63 || first > last || (*end && *end != ','))
			return false;
		*cpus |= ~0ull >> (63 - last) & ~0ull << first;
		text = end;
	} while (*text++);
	return true;
}
