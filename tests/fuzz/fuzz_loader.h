/*
 * Both loaders: RAM that ends where it ends, a kernel image and perhaps an initrd, and what must
 * hold afterwards.
 */
#pragma once

#include "tests/fuzz/fuzz.h"

#include "arch/cpu.h"
#include "guest-loader/loader.h"

#define RAM_MAX MiB(6)

static u8 *fuzz_ram; /* made once: what an image leaves there is not looked at by the next */

static inline void fuzz_load(const u8 *data, size_t n, u32 choice)
{
	static const char cmdline[] = "console=ttyS0 quiet";
	u64 low = MiB(2) << (choice & 1);
	struct loader_ram ram = {
		.low_bytes = low, .high_bytes = choice & 2 ? MiB(2) : 0, .rsdp_gpa = 0xe0000};
	size_t initrd_bytes = choice & 4 ? MIN(n / 4, 512) : 0,
	       room = choice & 16 ? 256 : 1 + (choice >> 5 & 31);
	struct loader_image kernel = {fuzz_exact(data, n - initrd_bytes), n - initrd_bytes,
				      "kernel"};
	struct loader_image initrd = {fuzz_exact(data + n - initrd_bytes, initrd_bytes),
				      initrd_bytes, "initrd"};
	char *error = malloc(room);
	struct vcpu_state st;

	if (!fuzz_ram)
		fuzz_ram = malloc(RAM_MAX);
	/* At the end of the block: a byte beyond RAM is one beyond the block. */
	ram.host = fuzz_ram + RAM_MAX - ram.low_bytes - ram.high_bytes;
	memset(error, 0x7f, room);
	if (loader_load(&kernel, initrd_bytes ? &initrd : NULL, choice & 8 ? cmdline : "", &ram,
			&st, error, room)) {
		FUZZ_CHECK(strnlen(error, room) < room, "error without end");
		FUZZ_CHECK(room < 8 || !strncmp(error, "kernel:", 7), "error '%s'", error);
	} else {
		FUZZ_CHECK(st.groups == (STATE_GPR | STATE_SEG | STATE_CR), "groups %#x",
			   st.groups);
		FUZZ_CHECK(st.rip >> 32 || st.rip < GiB(4), "rip %#lx", st.rip);
		FUZZ_CHECK(st.cr3 < low && IS_ALIGNED(st.cr3, PAGE_SIZE), "CR3 %#lx", st.cr3);
	}
	free(error);
	free((void *)kernel.data);
	free((void *)initrd.data);
}
