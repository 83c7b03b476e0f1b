/* Output on COM1 by polling, results, start. */
#include "guest.h"

#define COM1 0x3f8
#define EXIT_PORT 0xf4
#define MBI_MEMORY 1u
#define MBI_CMDLINE 4u

extern u32 boot_magic, boot_info;
bool under_caisson;
ulong memory_end;
static u32 failures;

struct multiboot_info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline;
};

static void put(char c)
{
	if (c == '\n')
		put('\r');
	while (!(inb(COM1 + 5) & 0x20))
		;
	outb(COM1, (u8)c);
}

static void put_number(u64 v, u32 base)
{
	char digits[20];
	u32 n = 0;

	/*
	 * 64-bit division needs a helper in 32-bit code: hexadecimal digits by shifts, decimal from
	 * 32 bits
	 */
	do {
		digits[n++] = base == 16 ? "0123456789abcdef"[v & 15] : (char)('0' + (u32)v % 10);
		v = base == 16 ? v >> 4 : (u32)v / 10;
	} while (v);
	while (n)
		put(digits[--n]);
}

static void put_format(const char *f, __builtin_va_list args)
{
	for (; *f; f++) {
		u32 longs = 0;

		if (*f != '%') {
			put(*f);
			continue;
		}
		for (f++; *f == 'l'; f++)
			longs++;
		u64 v = 0;
		if (*f == 's') {
			for (const char *s = __builtin_va_arg(args, const char *); *s; s++)
				put(*s);
			continue;
		}
		if (*f != '%')
			v = longs == 2 ? __builtin_va_arg(args, u64)
			    : longs    ? __builtin_va_arg(args, ulong)
				       : __builtin_va_arg(args, u32);
		if (*f == 'd' && (int)v < 0) {
			put('-');
			v = (u32) - (int)v;
		}
		if (*f == 'c' || *f == '%')
			put(*f == 'c' ? (char)v : '%');
		else
			put_number(v, *f == 'x' ? 16 : 10);
	}
}

void print(const char *format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, format);
	put_format(format, args);
	__builtin_va_end(args);
}

void fail(const char *format, ...)
{
	__builtin_va_list args;

	failures++;
	print("FAIL %s: ", test_name);
	__builtin_va_start(args, format);
	put_format(format, args);
	__builtin_va_end(args);
	put('\n');
}

void expect_eq(const char *what, u64 got, u64 expected)
{
	if (got != expected)
		fail("%s: got 0x%llx, expected 0x%llx", what, got, expected);
}

void expect(bool ok, const char *what)
{
	if (!ok)
		fail("%s", what);
}

void expect_trap(const char *what, long got, long expected)
{
	if (got != expected)
		fail("%s: got exception %d, expected %d (-1 = none)", what, (int)got,
		     (int)expected);
}

bool all_well(void) { return !failures; }

void pass_now(void)
{
	if (!failures)
		print("PASS %s\n", test_name);
}

void end_machine(u32 status)
{
	outl(EXIT_PORT, status);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void *copy(void *to, const void *from, ulong n)
{
	u8 *t = to;
	const u8 *f = from;

	while (n--)
		*t++ = *f++;
	return to;
}

/* What a compiler makes of assigning a structure. */
void *memcpy(void *to, const void *from, ulong n);
void *memcpy(void *to, const void *from, ulong n) { return copy(to, from, n); }

void fill(void *to, u8 value, ulong n)
{
	u8 *t = to;

	while (n--)
		*t++ = value;
}

static const char *command_line = "";

bool command_line_has(const char *word)
{
	const char *text = command_line;

	while (*text) {
		const char *w = word;

		while (*text == ' ')
			text++;
		while (*text && *text != ' ' && *text == *w)
			text++, w++;
		if (!*w && (!*text || *text == ' '))
			return true;
		while (*text && *text != ' ')
			text++;
	}
	return false;
}

u64 command_line_number(const char *key, u64 absent)
{
	for (const char *text = command_line; *text; text++) {
		const char *k = key, *t = text;
		u64 value = 0;
		u32 base = 10, digit;

		while (*k && *k == *t)
			k++, t++;
		if (*k || (text != command_line && text[-1] != ' '))
			continue;
		if (t[0] == '0' && t[1] == 'x') {
			base = 16;
			t += 2;
		}
		for (; *t && *t != ' '; t++) {
			digit = *t <= '9' ? (u32)(*t - '0') : ((u32)*t | 0x20) - 'a' + 10;
			value = digit < base ? value * base + digit : value;
		}
		return value;
	}
	return absent;
}

void guest_start(void)
{
	const struct multiboot_info *mbi = (const struct multiboot_info *)(ulong)boot_info;

	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	if (boot_magic != 0x2badb002) {
		fail("started with eax = 0x%x, expected the multiboot magic 0x2badb002",
		     boot_magic);
		end_machine(1);
	}
	memory_end = 0x100000 + (mbi->flags & MBI_MEMORY ? (ulong)mbi->mem_upper * 1024 : 0);
	if (mbi->flags & MBI_CMDLINE)
		command_line = (const char *)(ulong)mbi->cmdline;
	under_caisson = command_line_has("caisson");
	trap_init();
	test_main();
	pass_now();
	end_machine(failures ? 1 : 0);
}
