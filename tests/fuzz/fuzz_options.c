// SOURCES: kernel/options.c services/init/options.c drivers/platform/uart_parse.c lib/fmt.c
// SOURCES: lib/str_copy.c services/common/cpulist.c
// MAX_LEN: 1024
/* The boot command line, as the kernel and init read it, and the console's specification in it. */
#include "tests/fuzz/fuzz.h"

#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "hv/up.h"
#include "kernel/options.h"
#include "services/init/options.h"
#include "uapi/image.h"

static void complain(const char *option, const char *value, const char *expected)
{
	FUZZ_CHECK(strlen(option) + strlen(value) < sizeof(((struct init_info *)NULL)->cmdline) &&
			   (!expected || *expected),
		   "option '%s'", option);
}

static void check_uart(const struct uart_config *c)
{
	FUZZ_CHECK(c->port >= 0x100 && c->port <= 0xfff8, "port %#x", c->port);
	FUZZ_CHECK(c->divisor && (c->irq == 3 || c->irq == 4), "divisor %u irq %u", c->divisor,
		   c->irq);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	char *line = fuzz_text(data, n);
	struct uart_config uart;
	struct boot_options o;
	struct init_options init;
	size_t length = strlen(line);

	if (uart_parse(line, &uart))
		check_uart(&uart);
	options_parse(line, &o);
	FUZZ_CHECK(strlen(line) <= length, "the line grew");
	FUZZ_CHECK(o.loglevel <= LOG_DEBUG && o.reboot < RESET_METHODS && o.tsc <= TSC_OFF,
		   "loglevel %lu reboot %lu tsc %lu", o.loglevel, o.reboot, o.tsc);
	FUZZ_CHECK(!o.mem || o.mem >= MiB(64), "mem %lu", o.mem);
	FUZZ_CHECK(o.serial || o.vga, "no console");
	if (o.serial)
		check_uart(&o.uart);
	init_options_parse(line, &init, complain);
	free(line);
	return 0;
}
