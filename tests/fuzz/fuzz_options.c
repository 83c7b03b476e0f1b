// SOURCES: kernel/options.c services/init/options.c drivers/platform/uart_parse.c lib/fmt.c
// SOURCES: lib/str_copy.c
// MAX_LEN: 1024
/* The boot command line, as the kernel and init read it, and the console's specification in it. */
#include "tests/fuzz/fuzz.h"

#include "drivers/platform/uart_regs.h"
#include "kernel/options.h"
#include "services/init/options.h"

static u32 reports;

static void report(const char *message)
{
	FUZZ_CHECK(message && *message && strlen(message) < 256, "a message of no use");
	reports++;
}

static void complain(const char *option, const char *expected)
{
	FUZZ_CHECK(*option && *expected && strlen(option) < 64, "option '%s'", option);
}

static void check_console(const char *spec)
{
	struct uart_config c = {0};
	const char *why = NULL;

	if (!uart_parse_config(spec, &c, &why)) {
		FUZZ_CHECK(why && *why, "refused without a reason");
		return;
	}
	FUZZ_CHECK(c.port >= 0x100 && c.port <= 0xfff8, "port %#x", c.port);
	FUZZ_CHECK(c.divisor && (c.irq == 3 || c.irq == 4), "divisor %u irq %u", c.divisor, c.irq);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	char *line = fuzz_text(data, n);
	struct boot_options o;
	struct init_options init;

	reports = 0;
	options_parse(line, &o, report);
	FUZZ_CHECK(o.loglevel <= LOG_DEBUG, "loglevel %u", o.loglevel);
	FUZZ_CHECK(strnlen(o.console, sizeof(o.console)) < sizeof(o.console),
		   "console without end");
	FUZZ_CHECK(strnlen(o.tsc, sizeof(o.tsc)) < sizeof(o.tsc), "tsc without end");
	FUZZ_CHECK(reports <= n, "%u reports", reports);
	check_console(o.console);
	check_console(line);
	init_options_parse(line, &init, complain);
	free(line);
	return 0;
}
