/* The machine about itself through fw_cfg: signature, CPUs, memory, the directory of files. */
#include "guest.h"

TEST_NAME("fw-cfg");

#define SELECTOR 0x510
#define DATA 0x511

enum {
	SIGNATURE = 0x00,
	ID = 0x01,
	RAM_SIZE = 0x03,
	CPUS = 0x05,
	DIRECTORY = 0x19,
	NO_ITEM = 0x3f
};

static u64 little(u32 bytes)
{
	u64 v = 0;

	for (u32 i = 0; i < bytes; i++)
		v |= (u64)inb(DATA) << i * 8;
	return v;
}

static u32 big(u32 bytes)
{
	u32 v = 0;

	for (u32 i = 0; i < bytes; i++)
		v = v << 8 | inb(DATA);
	return v;
}

static u64 item(u16 key, u32 bytes)
{
	outw(SELECTOR, key);
	return little(bytes);
}

/* The next row of the directory: the file's size when it has that name, and its key. */
static u32 row(const char *wanted, u16 *key)
{
	u32 size = big(4);
	bool same = true;

	*key = (u16)big(2);
	big(2);
	for (u32 i = 0; i < 56; i++) {
		char c = (char)inb(DATA);

		same &= c == *wanted;
		wanted += *wanted != 0;
	}
	return same ? size : 0;
}

static void test_memory_map(void)
{
	u32 files, size = 0;
	u16 key = 0;

	outw(SELECTOR, DIRECTORY);
	files = big(4);
	expect(files && files < 64, "the directory has a sensible number of files");
	for (u32 i = 0; i < files && !size; i++)
		size = row("etc/e820", &key);
	expect(size >= 20 && size % 20 == 0, "etc/e820 has rows of 20 bytes");
	outw(SELECTOR, key);
	for (u32 i = 0; i < size / 20; i++) {
		u64 base = little(8), bytes = little(8);
		u32 type = (u32)little(4);

		if (type == 1) {
			expect_eq("base of RAM", base, 0);
			expect(bytes >= memory_end, "RAM reaches as far as the boot loader says");
			return;
		}
	}
	fail("etc/e820 has no RAM");
}

void test_main(void)
{
	u64 ram = item(RAM_SIZE, 8);

	expect_eq("signature", item(SIGNATURE, 4), 0x554d4551); /* "QEMU" */
	expect_eq("signature again", item(SIGNATURE, 4), 0x554d4551);
	expect_eq("behind its end", little(4), 0);
	expect(item(ID, 4) & 1, "the traditional interface is offered");
	expect_eq("CPUs", item(CPUS, 2), 1);
	expect(ram >= memory_end && ram % 0x100000 == 0, "RAM size");
	expect_eq("an item that is not there", item(NO_ITEM, 4), 0);
	test_memory_map();
}
