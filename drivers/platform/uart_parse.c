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

/* After a comma; nothing is the default. */
static bool parse_baud(const char **s, struct uart_config *c)
{
	u64 n;

	if (!**s)
		return true;
	if (**s != ',' || !fmt_parse_u64(*s + 1, s, &n) || n < 50 || n > UART_CLOCK ||
	    UART_CLOCK % n)
		return false;
	c->divisor = (u16)(UART_CLOCK / n);
	return true;
}

bool uart_parse(const char *spec, struct uart_config *out)
{
	struct uart_config c = {.divisor = 1};

	if (!parse_port(&spec, &c) || !parse_baud(&spec, &c) || (*spec && strcmp(spec, ",8n1")))
		return false;
	*out = c;
	return true;
}
