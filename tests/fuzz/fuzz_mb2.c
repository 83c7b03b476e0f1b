// SOURCES: boot/multiboot2.c lib/ranges.c lib/fmt.c lib/str_copy.c
// MAX_LEN: 12288
/* The multiboot2 information: what is not refused is memory and modules that the kernel can use. */
#include "tests/fuzz/fuzz.h"

#include "boot/multiboot2.h"

static struct bootinfo b;

static void check_ram(void)
{
	u64 last = PAGE_SIZE;

	FUZZ_CHECK(b.ram.count && b.ram.count <= ARRAY_SIZE(b.ram.r), "%u ranges", b.ram.count);
	for (u32 i = 0; i < b.ram.count; i++) {
		u64 start = b.ram.r[i].start, end = b.ram.r[i].end;

		FUZZ_CHECK(start >= last && start < end && end <= BIT(52), "%#lx to %#lx", start,
			   end);
		FUZZ_CHECK(IS_ALIGNED(start | end, PAGE_SIZE), "%#lx to %#lx", start, end);
		last = end;
	}
}

static void check_modules(void)
{
	FUZZ_CHECK(b.modules <= BOOT_MAX_MODULES, "%u modules", b.modules);
	for (u32 i = 0; i < b.modules; i++) {
		const struct boot_module *m = &b.module[i];
		u64 end = m->start.v + ALIGN_UP(m->bytes, PAGE_SIZE);

		FUZZ_CHECK(strnlen(m->name, sizeof(m->name)) < sizeof(m->name), "name without end");
		FUZZ_CHECK(IS_ALIGNED(m->start.v, PAGE_SIZE) && end >= m->start.v, "%#lx to %#lx",
			   m->start.v, end);
		FUZZ_CHECK(!m->bytes || ranges_bytes(&b.ram, m->start.v, end) == end - m->start.v,
			   "module outside RAM");
		for (u32 k = 0; k < i && m->bytes; k++)
			FUZZ_CHECK(!b.module[k].bytes || b.module[k].start.v >= end ||
					   b.module[k].start.v + b.module[k].bytes <= m->start.v,
				   "modules overlap");
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	u8 *info = fuzz_exact(data, n);

	memset(&b, 0, sizeof(b));
	b.kernel_start = hpa(0x200000);
	b.kernel_bytes = 0x200000;
	mb2_parse(info, (u32)n, &b);
	FUZZ_CHECK(strnlen(b.error, sizeof(b.error)) < sizeof(b.error), "error without end");
	if (!b.error[0]) {
		check_ram();
		check_modules();
		FUZZ_CHECK(strnlen(b.cmdline, sizeof(b.cmdline)) < sizeof(b.cmdline),
			   "command line without end");
		FUZZ_CHECK(b.rsdp_bytes <= sizeof(b.rsdp_copy), "RSDP of %u bytes", b.rsdp_bytes);
	}
	free(info);
	return 0;
}
