#include "services/common/cap.h"

#include "lib/fmt.h"
#include "lib/string.h"

#define US_MIN 1000u
#define PERIOD_US 100000u /* of a percentage */
#define PERIOD_MAX_US 1000000u

bool cap_parse(const char *text, u64 *cap)
{
	u64 quota, period = PERIOD_US;
	const char *end;

	*cap = 0;
	if (!strcmp(text, "none"))
		return true;
	if (!fmt_parse_u64(text, &end, &quota) || quota > ~0u)
		return false;
	if (!strcmp(end, "%"))
		quota *= PERIOD_US / 100;
	else if (*end != '/' || !fmt_parse_u64(end + 1, &end, &period) || *end)
		return false;
	if (quota < US_MIN || quota > ~0u || period < US_MIN || period > PERIOD_MAX_US)
		return false;
	*cap = quota << 32 | period;
	return true;
}

void cap_print(u64 cap, char *out, size_t size)
{
	if (cap)
		fmt_snprintf(out, size, "%lu/%u", cap >> 32, (u32)cap);
	else
		fmt_snprintf(out, size, "none");
}
