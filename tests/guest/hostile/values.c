/* The generator, and the values that find mistakes more often than uniform ones. */
#include "hostile.h"

static u64 state;

void rnd_seed(u64 seed) { state = seed; }

/* SplitMix64. */
u64 rnd(void)
{
	u64 z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

u32 below(u32 n) { return (u32)((rnd() >> 32) * n >> 32); }

bool rarely(u32 n) { return below(n) == 0; }

u64 any_value(void)
{
	switch (below(12)) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return 1ull << below(64);
	case 3: return ~(1ull << below(64));
	case 4: return below(256);
	case 5: return (u64)(long long)(int)rnd();
	case 6: return SCRATCH + below(0x200000);
	case 7: return 0x7fffffffffffffffull + below(3);
	case 8: return 0x7ffffffff000ull + below(0x2000);
	default: return rnd() >> below(64);
	}
}

ulong any_address(void)
{
	u32 pick = below(100);

	if (pick < 34)
		return SCRATCH + below(0x200000);
	if (pick < 35)
		return CODE + below(CODE_BYTES);
	if (pick < 50) /* around the end of a page */
		return SCRATCH + 0x100000 + PAGE * below(200) - 16 + below(32);
	if (pick < 55)
		return SCRATCH_SUPER + below(0x200000);
	if (pick < 62)
		return LAPIC + below(PAGE);
	if (pick < 68)
		return IOAPIC + (rarely(2) ? 0x10 : below(PAGE));
	if (pick < 74)
		return VGA_ALIAS + below(VGA_END - VGA);
	if (pick < 77)
		return memory_end - 16 + below(32);
	if (pick < 83)
		return 0x40000000ul * below(4) + HOLE + below(PAGE);
	if (pick < 95)
		return TRICKS + (rnd() & (rarely(2) ? 0x3fffff : 0x7fffffffff));
	if (pick < 97)
		return 0x800000000000ul - below(32);
	return rnd();
}

bool port_is_deadly(u16 port)
{
	return (port >= 0xf1 && port < 0xf8) || port == 0x64 || port == 0x92 ||
	       (port >= 0x601 && port < 0x608) || (port >= 0xcf6 && port < 0xcfa);
}

u16 any_port(bool write)
{
	static const u16 known[] = {
		0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,	 0x41,	 0x42,
		0x43,  0x61,  0x70,  0x71,  0x64,  0x60,  0x92,	 0xf4,	 0x80,
		0xb2,  0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe,	 0x3ff,
		0x600, 0x602, 0x604, 0x608, 0x60a, 0xcf8, 0xcf9, 0xcfa,	 0xcfc,
		0xcfd, 0xcfe, 0xcff, 0x1f7, 0x3d5, 0x510, 0x511, 0xffff, 0xfffd,
	};
	u16 port;

	do
		port = rarely(3) ? (u16)rnd()
				 : (u16)(known[below(ARRAY_SIZE(known))] +
					 (rarely(8) ? below(4) : 0));
	while (write && port_is_deadly(port) && !rarely(2000));
	return port;
}

u32 any_msr(bool write)
{
	static const u32 known[] = {
		0x10,	    0x1b,	0x79,	    0x8b,	0xfe,	    0x174,	0x175,
		0x176,	    0x179,	0x17a,	    0x17b,	0x1a0,	    0x1d9,	0x277,
		0x2ff,	    0x3a,	0x3b,	    0x48,	0x49,	    0x6e0,	0xc0000080,
		0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102,
		0xc0000103, 0xc0010010, 0xc0010015, 0xc0010055, 0xc0010114, 0xc0010117, 0xc0011029,
		0xda0,	    0x40000000, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04,
		0x4b564d05, 0x11,	0x12,	    0x200,	0x250,	    0x400,	0x401,
		0x480,
	};

	switch (below(4)) {
	case 0: return 0x800 + below(0x100);
	case 1: return (u32)rnd() >> below(32);
	default: return known[below(ARRAY_SIZE(known))];
	}
}

/* INIT to the only vCPU, and SIPI behind it, end most runs: seldom. */
u32 any_icr(void)
{
	u32 icr = (u32)any_value();
	u32 mode = icr >> 8 & 7;

	if (rarely(2))
		icr = (icr & 0xff) | 1u << 18; /* to itself */
	else if ((mode == 5 || mode == 6) && !rarely(500))
		icr &= ~0x700u;
	return icr;
}
