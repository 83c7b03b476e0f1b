#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "hv/vendor.h"
#include "hv/x86.h"
#include "kernel/domain.h"
#include "kernel/log.h"
#include "kernel/main.h"
#include "kernel/syscall.h"
#include "kernel/trace.h"
#include "lib/string.h"
#include "mm/ucopy.h"

#define LOG_TEXT 200u
#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_BYTES 128

struct object *system_object;

void up_console_input(void) { object_notify(system_object, 1); }

/* What an operation reads and fills in. */
union sys_request {
	char text[CONSOLE_CHUNK + 1];
	struct log_read log;
	struct sys_power power;
	struct acpi_read acpi;
	struct node_info node;
	struct host_info host;
	struct trace_read trace;
	struct page_check page;
};

static s64 console_write(union sys_request *r, u64 n)
{
	return uart_write(r->text, (u32)MIN(n, CONSOLE_CHUNK));
}

static s64 console_read(union sys_request *r, u64 n)
{
	return uart_read(r->text, (u32)MIN(n, CONSOLE_CHUNK));
}

static s64 log_write(union sys_request *r, u64 n)
{
	u32 level = (u32)(r->text[0] - '0');

	if (!n || n > LOG_TEXT || level > LOG_DEBUG)
		return -E_INVAL;
	r->text[n] = 0;
	log_line(level, "%s", r->text + 1);
	return 0;
}

static s64 log_read_op(union sys_request *r, u64 n)
{
	char buf[CONSOLE_CHUNK];

	r->log.bytes = log_read(&r->log.pos, buf, MIN(r->log.bytes, (u32)sizeof(buf)));
	return ucopy_out(r->log.buf, buf, r->log.bytes);
}

static s64 log_level(union sys_request *r, u64 n)
{
	return n > LOG_DEBUG && n != ~0ull ? -E_INVAL : (s64)log_set_level(n);
}

/* The image, the frame table (8 bytes a frame), the heap, stacks and vCPU areas. */
static u64 own_bytes(void)
{
	return bootinfo.kernel_bytes + frame_total() / PAGE_SIZE * 8 +
	       frame_owner_bytes(FRAME_KERNEL) + frame_owner_bytes(FRAME_PRIVATE);
}

static s64 hostinfo(union sys_request *r, u64 n)
{
	struct host_info *i = &r->host;

	*i = (struct host_info){
		.cpus = MAX(acpi_facts.cpus, 1u),
		.cpus_up = cpu_count,
		.mem_total = frame_total(),
		.mem_free = frame_free_bytes(),
		.mem_kernel = own_bytes(),
		.mem_heap_free = kmem_free_bytes(),
		.tsc_hz = clock_tsc_hz(),
		.log_dropped = log_dropped(),
		.spec = cpu_facts.spec,
		.spec_offered = cpu_facts.spec_offered,
	};
	memcpy(i->objects, object_count, sizeof(i->objects));
	for (u32 c = 0; c < cpu_count; c++) {
		i->slow_ops += cpus[c]->slow_ops;
		i->nmis += cpus[c]->nmis;
	}
	str_copy(i->clock, clock_name(), sizeof(i->clock));
	str_copy(i->virt, hv_ops ? hv_ops->name : "none", sizeof(i->virt));
	if (hv_ops)
		hv_ops->features(i->virt_features, sizeof(i->virt_features));
	else
		str_copy(i->virt_reason, no_vms_why, sizeof(i->virt_reason));
	return 0;
}

static s64 nodeinfo(union sys_request *r, u64 n)
{
	const struct numa *numa = &acpi_facts.numa;
	struct node_info *i = &r->node;

	if (i->node >= numa->nodes)
		return -E_NOENT;
	*i = (struct node_info){
		.node = i->node, .domain = numa->domain[i->node], .nodes = numa->nodes};
	for (u32 c = 0; c < cpu_count; c++)
		i->cpus |= (u64)(cpus[c]->node == i->node) << c;
	frame_node_bytes(i->node, &i->mem_total, &i->mem_free);
	memcpy(i->distance, numa->distance[i->node], sizeof(i->distance));
	return 0;
}
static_assert(NODES_MAX == NUMA_NODES, "struct node_info holds every distance");

/* Polled: what was printed must be out before the machine is gone. */
static s64 reboot(union sys_request *r, u64 n)
{
	platform_reset(boot_options.reboot, log_panic_line);
}

static s64 power(union sys_request *r, u64 n)
{
	if (r->power.write)
		uart_flush();
	return power_access(&r->power);
}

static s64 debug_exit(union sys_request *r, u64 n)
{
	if (!boot_options.exit_port)
		return -E_INVAL;
	uart_flush();
	outl((u16)boot_options.exit_port, (u32)n);
	return -E_NODEV;
}

static s64 page_check(union sys_request *r, u64 n)
{
	struct page_check *p = &r->page;
	struct pt_leaf l;
	u64 e = pt_lookup(&current_domain()->aspace.pt, p->va, &l) ? *l.entry : 0;

	p->bytes = l.bytes;
	p->prot = e & PTE_P ? PROT_R | (e & PTE_W ? PROT_W : 0) | (e & PTE_NX ? 0 : PROT_X) : 0;
	p->user = e & PTE_U ? 1 : 0;
	p->owner = frame_owner_of(hpa_add(l.start, p->va & (l.bytes - 1)));
	return 0;
}

static s64 acpi_read(union sys_request *r, u64 n)
{
	struct acpi_read *q = &r->acpi;
	const struct acpi_table *t;

	if (q->index >= acpi_facts.tables)
		return -E_NOENT;
	t = acpi_facts.table[q->index];
	q->offset = MIN(q->offset, t->length);
	q->bytes = MIN(MIN(q->bytes, (u32)PAGE_SIZE), t->length - q->offset);
	memcpy(q->signature, t->signature, sizeof(q->signature));
	return ucopy_out(q->buf, (const u8 *)t + q->offset, q->bytes);
}

static s64 cmos_read(union sys_request *r, u64 n)
{
	if (n >= CMOS_BYTES)
		return -E_INVAL;
	outb(CMOS_INDEX, (u8)n);
	return inb(CMOS_DATA);
}

static s64 trace_read_op(union sys_request *r, u64 n) { return trace_read(&r->trace); }

/*
 * What is copied in before and out after it: a structure of this size, which n must be; text, up to
 * n bytes in, as many as the function returns out.
 */
/* clang-format off */
static const struct {
	u32 rights;
	s64 (*fn)(union sys_request *r, u64 n);
	u32 structure, text_in;
	bool gives_text;
} op_table[] = {
	[SYSOP_CONSOLE_WRITE] = {R_CONSOLE, console_write, .text_in = CONSOLE_CHUNK},
	[SYSOP_CONSOLE_READ] = {R_CONSOLE, console_read, .gives_text = true},
	[SYSOP_LOG_WRITE] = {R_LOG, log_write, .text_in = LOG_TEXT},
	[SYSOP_LOG_READ] = {R_LOG, log_read_op, sizeof(struct log_read)},
	[SYSOP_LOG_LEVEL] = {R_LOG, log_level},
	[SYSOP_HOSTINFO] = {R_STAT, hostinfo, sizeof(struct host_info)},
	[SYSOP_REBOOT] = {R_POWER, reboot},
	[SYSOP_POWER] = {R_POWER, power, sizeof(struct sys_power)},
	[SYSOP_DEBUG_EXIT] = {R_POWER, debug_exit},
	[SYSOP_PAGE_CHECK] = {R_STAT, page_check, sizeof(struct page_check)},
	[SYSOP_ACPI_READ] = {R_STAT, acpi_read, sizeof(struct acpi_read)},
	[SYSOP_NODEINFO] = {R_STAT, nodeinfo, sizeof(struct node_info)},
	[SYSOP_CMOS_READ] = {R_STAT, cmos_read},
	[SYSOP_TRACE] = {R_STAT, trace_set},
	[SYSOP_TRACE_READ] = {R_STAT, trace_read_op, sizeof(struct trace_read)},
};
/* clang-format on */
static_assert(ARRAY_SIZE(op_table) == SYSOP_OPS, "every operation has a row");

s64 sys_ctl(struct object *obj, const struct sys_args *args)
{
	u64 op = args->a[1], user = args->a[2], n = args->a[3], in, out;
	u32 have = handle_rights((handle_t)args->a[0]);
	union sys_request request;
	s64 r = 0, e;

	if (op >= SYSOP_OPS)
		return -E_INVAL;
	if ((have & op_table[op].rights) != op_table[op].rights)
		return -E_RIGHTS;
	in = op_table[op].structure + MIN(n, op_table[op].text_in);
	if (in)
		r = op_table[op].structure && n != in ? -E_INVAL : ucopy_in(&request, user, in);
	if (!r)
		r = op_table[op].fn(&request, n);
	out = op_table[op].structure + (op_table[op].gives_text ? (u64)r : 0);
	if (r < 0 || !out)
		return r;
	e = ucopy_out(user, &request, out);
	return e ? e : r;
}
