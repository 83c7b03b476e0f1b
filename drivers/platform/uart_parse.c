#include "drivers/platform/uart.h"
#include "drivers/platform/uart_regs.h"
#include "lib/fmt.h"
#include "lib/string.h"

/* clang-format off */
static const struct { u16 port; u8 irq; } com[] = {{0x3f8, 4}, {0x2f8, 3}, {0x3e8, 4}, {0x2e8, 3}};
/* clang-format on */

static bool parse_port(const char **s, struct uart_config *c)
{
	u64 n;

	if (!strncmp(*s, "com", 3)) {
		if (!fmt_parse_u64(*s + 3, s, &n) || n < 1 || n > ARRAY_SIZE(com))
			return false;
		c->port = com[n - 1].port;
		c->irq = com[n - 1].irq;
		return true;
	}
	if (strncmp(*s, "0x", 2) || !fmt_parse_u64(*s, s, &n) || n < 0x100 || n > 0xfff8)
		return false;
	c->port = (u16)n;
	c->irq = 4;
	for (u32 i = 0; i < ARRAY_SIZE(com); i++)
		if (com[i].port == n)
			c->irq = com[i].irq;
	return true;
}

static bool parse_baud(const char **s, struct uart_config *c)
{
	u64 n;

	if (!fmt_parse_u64(*s, s, &n) || n < 50 || n > UART_CLOCK || UART_CLOCK % n)
		return false;
	c->divisor = (u16)(UART_CLOCK / n);
	return true;
}

/* Data bits, parity, stop bits: "8n1". */
static bool parse_frame(const char **s, struct uart_config *c)
{
	const char *p = *s;

	if (p[0] < '5' || p[0] > '8' || !p[1] || !strchr("noe", p[1]) ||
	    (p[2] != '1' && p[2] != '2'))
		return false;
	c->lcr = (u8)(p[0] - '5');
	if (p[1] != 'n')
		c->lcr |= p[1] == 'e' ? LCR_PARITY | LCR_EVEN : LCR_PARITY;
	if (p[2] == '2')
		c->lcr |= LCR_STOP_2;
	*s = p + 3;
	return true;
}

bool uart_parse(const char *spec, struct uart_config *out)
{
	static bool (*const part[])(const char **s,
				    struct uart_config *c) = {parse_port, parse_baud, parse_frame};
	struct uart_config c = {.divisor = 1, .lcr = 3};

	for (u32 i = 0; i < ARRAY_SIZE(part); i++) {
		if (!part[i](&spec, &c) || (*spec && *spec != ','))
			return false;
		if (!*spec++) {
			*out = c;
			return true;
		}
	}
	return false;
}
