/*
 * trace: switches the kernel's trace and prints it as text for tools/trace. A line carries the CPU,
 * the number of its first record, records in base64 and the CRC-32 of all that, since log lines may
 * come in between.
 */
#include "lib/fmt.h"
#include "lib/string.h"
#include "services/manager/manager.h"
#include "uapi/trace.h"
#include "user/sys.h"

#define LINE_RECORDS 4u
#define BASE64_BYTES(n) (((n) + 2) / 3 * 4 + 1)
static_assert(TRACE_CHUNK % LINE_RECORDS == 0, "a chunk makes whole lines");

static u32 crc32(const char *s)
{
	u32 crc = ~0u;

	for (; *s; s++) {
		crc ^= (u8)*s;
		for (u32 bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void base64(char *out, const u8 *in, size_t n)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		u32 bits = (u32)in[i] << 16;

		bits |= i + 1 < n ? (u32)in[i + 1] << 8 : 0;
		bits |= i + 2 < n ? in[i + 2] : 0;
		*out++ = digit[bits >> 18];
		*out++ = digit[bits >> 12 & 63];
		*out++ = i + 1 < n ? digit[bits >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digit[bits & 63] : '=';
	}
	*out = 0;
}

static void print_line(struct manager *m, u32 cpu, u64 pos, const struct trace_record *r, u32 n)
{
	char text[BASE64_BYTES(LINE_RECORDS * sizeof(*r)) + 40];
	int at = fmt_snprintf(text, sizeof(text), "%u %lu ", cpu, pos);

	base64(text + at, (const u8 *)r, n * sizeof(*r));
	con_printf(m, "trace: %s %08x\n", text, crc32(text));
}

/* False: a key was pressed, or the kernel says no. What comes in meanwhile is not printed. */
static bool dump_cpu(struct manager *m, u32 cpu, u64 newest)
{
	struct trace_record record[TRACE_CHUNK];
	struct trace_read r = {.cpu = cpu, .buf = (u64)record};
	u64 head;
	s64 e = sys_ctl(m->start.system, SYSOP_TRACE_READ, &r, sizeof(r));

	head = r.head;
	r.pos = head - MIN(newest, head);
	while (!e && r.pos < head) {
		r.records = (u32)MIN(TRACE_CHUNK, head - r.pos);
		e = sys_ctl(m->start.system, SYSOP_TRACE_READ, &r, sizeof(r));
		for (u32 i = 0; !e && i < MIN(r.records, TRACE_CHUNK); i += LINE_RECORDS)
			print_line(m, cpu, r.pos + i, record + i, MIN(r.records - i, LINE_RECORDS));
		r.pos += r.records;
		if (con_wait_key(m, DEADLINE_POLL))
			return false;
	}
	if (e)
		con_printf(m, "error: %s\n",
			   e == -E_NOENT ? "nothing was traced: `trace on` begins" : rt_error(e));
	return !e;
}

static void dump(struct manager *m, u64 newest)
{
	struct host_info h = {0};
	s64 e = sys_ctl(m->start.system, SYSOP_HOSTINFO, &h, sizeof(h));
	u32 cpu = 0;

	if (e < 0) {
		con_printf(m, "error: %s\n", rt_error(e));
		return;
	}
	con_printf(m, "trace: begin %lu Hz, %u CPUs\n", h.tsc_hz, h.cpus_up);
	while (cpu < h.cpus_up && dump_cpu(m, cpu, newest))
		cpu++;
	con_printf(m, cpu == h.cpus_up ? "trace: end\n" : "trace: stopped\n");
}

void cmd_trace(struct manager *m, u32 words, const char *const *word)
{
	bool on = !strcmp(word[1], "on"), off = !strcmp(word[1], "off");
	u64 newest = TRACE_RECORDS;
	const char *end;
	s64 e;

	if (words == 2 && (on || off)) {
		e = sys_ctl(m->start.system, SYSOP_TRACE, NULL, on);
		if (e < 0)
			con_printf(m, "error: %s\n", rt_error(e));
		else
			con_printf(m, "trace %s\n", word[1]);
	} else if (!strcmp(word[1], "dump") &&
		   (words == 2 || (fmt_parse_u64(word[2], &end, &newest) && !*end && newest))) {
		dump(m, newest);
	} else {
		con_printf(m, "error: trace: expected on, off, or dump and how many records\n");
	}
}
