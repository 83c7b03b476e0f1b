#include "lib/fmt.h"
#include "lib/string.h"
#include "services/manager/manager.h"
#include "user/sys.h"

#define ROOM_PAUSE_NS 1000000ull
#define ROOM_ROUNDS 2000u

size_t con_try_write(struct manager *m, const void *s, size_t n)
{
	size_t done = 0, part;
	s64 taken;

	do {
		part = MIN(n - done, CONSOLE_CHUNK);
		taken = sys_ctl(m->start.system, SYSOP_CONSOLE_WRITE, (const u8 *)s + done, part);
		done += taken > 0 ? MIN((size_t)taken, part) : 0;
	} while (taken == (s64)part && done < n);
	return done;
}

void con_write(struct manager *m, const char *s, size_t n)
{
	for (u32 idle = 0; n && idle < ROOM_ROUNDS;) {
		size_t taken = con_try_write(m, s, n);

		if (taken) {
			idle = 0;
			s += taken;
			n -= taken;
		} else {
			idle++;
			event_wait(m->idle, rt_clock_ns() + ROOM_PAUSE_NS);
		}
	}
}

void con_printf(struct manager *m, const char *fmt, ...)
{
	char text[1024], out[2 * sizeof(text)];
	size_t n = 0;
	va_list ap;

	va_start(ap, fmt);
	fmt_vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (const char *s = text; *s; s++) {
		if (*s == '\n')
			out[n++] = '\r';
		out[n++] = *s;
	}
	con_write(m, out, n);
}

size_t con_read(struct manager *m, u8 *buf, size_t n)
{
	s64 got = sys_ctl(m->start.system, SYSOP_CONSOLE_READ, buf, n);

	return got < 0 ? 0 : MIN((size_t)got, n);
}

bool con_wait_key(struct manager *m, u64 deadline)
{
	struct port_packet packet;
	u8 key;

	do {
		if (con_read(m, &key, 1))
			return true;
		if (port_wait(m->start.port, &packet, 1, deadline) < 0)
			break;
		if (packet.key < m->vms && packet.bits & VM_NOTIFY_STATE)
			attach_state_changed(m, (u32)packet.key);
	} while (rt_clock_ns() < deadline);
	return false;
}
