#include "hv/exit_insn.h"

#include "lib/string.h"

struct prefixes {
	u32 bytes;
	u8 rex;
	bool operand; /* 66 */
};

/* A REX that another prefix follows has no effect. */
static struct prefixes decode_prefixes(const u8 *b, u32 n)
{
	struct prefixes p = {0};

	for (; p.bytes < n; p.bytes++) {
		u8 c = b[p.bytes];
		bool segment = (c & 0xe7) == 0x26 || (c & 0xfe) == 0x64;

		if ((c & 0xf0) == 0x40) {
			p.rex = c;
			continue;
		}
		if (!segment && (c & 0xfe) != 0x66 && c != 0xf0 && (c & 0xfe) != 0xf2)
			break;
		p.operand |= c == 0x66;
		p.rex = 0;
	}
	return p;
}

/* Of ModRM, SIB and displacement that name memory; 0: no memory. */
static u32 memory_bytes(const u8 *modrm)
{
	u8 mod = modrm[0] >> 6, rm = modrm[0] & 7;
	bool sib = rm == 4;
	u8 base = sib ? modrm[1] & 7 : rm;

	if (mod == 3)
		return 0;
	return 1u + sib + (mod == 1 ? 1 : mod == 2 || (!mod && base == 5) ? 4 : 0);
}

/* b: behind the opcode. How many bytes belong to it there; 0: it is another instruction. */
static u32 decode_mov(const u8 *b, u8 opcode, const struct prefixes *p, struct exit_insn *out)
{
	u32 n = memory_bytes(b);

	if (!n || p->rex & 8 || p->operand)
		return 0;
	out->access = opcode == 0x8b ? ACCESS_LOAD : ACCESS_STORE;
	out->reg = (u8)((b[0] >> 3 & 7) | (p->rex & 4) << 1);
	if (opcode != 0xc7)
		return n;
	if (out->reg & 7)
		return 0;
	out->access = ACCESS_STORE_IMM;
	memcpy(&out->imm, b + n, sizeof(out->imm));
	return n + (u32)sizeof(out->imm);
}

bool exit_insn_decode(const u8 *bytes, u32 n, struct exit_insn *out)
{
	u8 b[2 * EXIT_INSN_MAX] = {0}; /* no look reaches beyond */
	struct prefixes p;
	u32 at, more;

	memcpy(b, bytes, n);
	p = decode_prefixes(b, n);
	at = p.bytes + 1;
	*out = (struct exit_insn){0};
	switch (b[p.bytes]) {
	case 0x90: /* PAUSE */
	case 0xf4: /* HLT */ break;
	case 0x89:
	case 0x8b:
	case 0xc7: /* MOV */
		more = decode_mov(b + at, b[p.bytes], &p, out);
		at += more;
		if (!more)
			return false;
		break;
	case 0x0f:
		switch (b[at++]) {
		case 0x01: /* VMCALL, VMMCALL */
			if (b[at++] < 0xc0)
				return false;
			break;
		case 0x08: /* INVD */
		case 0x09: /* WBINVD */
		case 0x30: /* WRMSR */
		case 0x32: /* RDMSR */
		case 0xa2: /* CPUID */ break;
		default: return false;
		}
		break;
	default: return false;
	}
	out->length = (u8)at;
	return at <= n;
}
