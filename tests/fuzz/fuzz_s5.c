// SOURCES: services/common/s5.c
// MAX_LEN: 512
/* \_S5_ in AML of a firmware that lies about every length. */
#include "tests/fuzz/fuzz.h"

#include "services/common/s5.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	u8 *aml = fuzz_exact(data, n), a = 0xff, b = 0xff;

	if (s5_find(aml, n, &a, &b))
		FUZZ_CHECK(a <= 7 && b <= 7, "SLP_TYP %u, %u", a, b);
	else
		FUZZ_CHECK(a == 0xff && b == 0xff, "written without success");
	free(aml);
	return 0;
}
