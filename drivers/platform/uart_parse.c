#include "drivers/platform/uart.h"
#include "lib/fmt.h"
#include "lib/string.h"

/* COM1 to COM4: the first and the third have interrupt 4, the others 3. */
static const u16 com[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};

/* A number above 0 of them, or a port as such. */
static bool set_port(struct uart_config *c, u64 n)
{
	if (n && n <= ARRAY_SIZE(com))
		n = com[n - 1];
	c->port = (u16)n;
	c->irq = n == com[1] || n == com[3] ? 3 : 4;
	return n >= 0x100 && n <= 0xfff8;
}

bool uart_parse(const char *spec, struct uart_config *out)
{
	bool is_com = !strncmp(spec, "com", 3), is_port = !strncmp(spec, "0x", 2);
	u64 n, baud = UART_CLOCK;
	struct uart_config c = {0};

	if (!(is_com || is_port) || !fmt_parse_u64(is_com ? spec + 3 : spec, &spec, &n) ||
	    is_com != (n <= ARRAY_SIZE(com)) || !set_port(&c, n))
		return false;
	if (*spec && (*spec != ',' || !fmt_parse_u64(spec + 1, &spec, &baud) || baud < 50 ||
		      baud > UART_CLOCK || UART_CLOCK % baud))
		return false;
	c.divisor = (u16)(UART_CLOCK / baud);
	if (*spec && strcmp(spec, ",8n1"))
		return false;
	*out = c;
	return true;
}
