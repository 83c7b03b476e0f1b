#include "kernel/log.h"

#include "drivers/platform/screen.h"
#include "drivers/platform/uart.h"
#include "kernel/domain.h"
#include "lib/fmt.h"
#include "lib/ratelimit.h"
#include "lib/string.h"

/* Lines that a VM or another program causes: a dump and some more at once, then one each second. */
#define BURST 128
#define BURST_INFO 32 /* of these: chatter leaves room for the dump */
#define PERIOD_NS 1000000000ull
#define LIMITS 16 /* by name, which lasts when a VM is started again */

static struct {
	spinlock_t lock;
	enum log_level level;
	u64 head; /* bytes ever written */
	/* [a] bytes for which the UART's ring had no room; the log's own ring has them */
	u64 dropped;
	struct ratelimit limit[LIMITS];
	char ring[LOG_RING_BYTES];
} log = {.level = LOG_INFO};

static const char *const level_name[] = {"error", "warn", "notice", "info", "debug"};

static void ring_put(const char *s, u32 n)
{
	for (u32 i = 0; i < n; i++)
		log.ring[log.head++ % LOG_RING_BYTES] = s[i];
}

/*
 * The limit that this CPU's thread is under, of the program that init started and all that came
 * from it; NULL: none, for init and the kernel.
 */
static struct ratelimit *limit_of(const struct thread *t)
{
	const struct sched_group *g = (t && t->domain ? t->domain : &kernel_domain)->group;
	const struct domain *d = container_of(g, struct domain, own_group);
	u32 hash = 0;

	if (d->obj.quota == kernel_quota)
		return NULL;
	for (const char *c = d->name; *c; c++)
		hash = hash * 31 + (u8)*c;
	return &log.limit[hash % LIMITS];
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char line[256];
	struct ratelimit *limit = limit_of(thread_current());
	u64 ns = clock_ns(), us = ns / 1000;
	u32 dropped = 0;
	va_list ap;
	int n;

	n = fmt_snprintf(line, sizeof(line), "[%5lu.%06lu] cpu%u %s: ", us / 1000000, us % 1000000,
			 this_cpu()->id, level_name[level]);
	va_start(ap, fmt);
	n += fmt_vsnprintf(line + n, sizeof(line) - (u32)n, fmt, ap);
	va_end(ap);
	n = MIN(n, (int)sizeof(line) - 2);
	spin_lock(&log.lock);
	if (limit && !ratelimit_pass(limit, ns, level > LOG_NOTICE ? BURST_INFO : BURST, PERIOD_NS,
				     &dropped)) {
		spin_unlock(&log.lock);
		return;
	}
	if (dropped)
		n += fmt_snprintf(line + n, sizeof(line) - (u32)n,
				  " (%u lines before it were too many)", dropped);
	n = MIN(n, (int)sizeof(line) - 2);
	for (int i = 0; i < n; i++) /* text from ring 3 and guests must not drive the terminal */
		if (line[i] < ' ' || line[i] > '~')
			line[i] = '?';
	line[n++] = '\n';
	ring_put(line, (u32)n);
	if (level <= log.level) {
		screen_write(line, (u32)n);
		log.dropped += (u32)n - 1 - uart_write(line, (u32)n - 1);
		/* a serial terminal wants CR before LF; the ring does not */
		log.dropped += 2 - uart_write("\r\n", 2);
	}
	spin_unlock(&log.lock);
}

void log_panic_line(const char *line)
{
	u32 n = (u32)strlen(line);

	ring_put(line, n);
	ring_put("\n", 1);
	screen_write(line, n);
	screen_write("\n", 1);
	uart_panic_write(line, n);
	uart_panic_write("\r\n", 2);
}

enum log_level log_set_level(u64 l)
{
	enum log_level before = log.level;

	if (l <= LOG_DEBUG)
		log.level = (enum log_level)l;
	return before;
}

u64 log_dropped(void) { return __atomic_load_n(&log.dropped, __ATOMIC_RELAXED); }

u32 log_read(u64 *pos, char *buf, u32 n)
{
	u32 done = 0;

	spin_lock(&log.lock);
	if (log.head > LOG_RING_BYTES && *pos < log.head - LOG_RING_BYTES)
		*pos = log.head - LOG_RING_BYTES;
	for (; done < n && *pos < log.head; done++)
		buf[done] = log.ring[(*pos)++ % LOG_RING_BYTES];
	spin_unlock(&log.lock);
	return done;
}
