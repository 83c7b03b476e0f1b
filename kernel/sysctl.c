#include "kernel/sysctl.h"

#include "drivers/platform/acpi.h"
#include "drivers/platform/clock.h"
#include "drivers/platform/uart.h"
#include "hv/up.h"
#include "hv/vendor.h"
#include "hv/x86.h"
#include "kernel/domain.h"
#include "kernel/log.h"
#include "kernel/main.h"
#include "kernel/syscall.h"
#include "kernel/vcpu.h"
#include "lib/string.h"
#include "mm/frame.h"
#include "mm/kmem.h"
#include "mm/mm.h"
#include "mm/ucopy.h"

#define COPY_CHUNK CONSOLE_CHUNK
#define CMOS_INDEX 0x70
#define CMOS_DATA 0x71
#define CMOS_BYTES 128

struct object system_object = {.type = OBJ_SYSTEM, .refs = 1};

void sysctl_init(void)
{
	list_init(&system_object.port_bound);
	list_init(&system_object.port_link);
	list_init(&system_object.reap);
}

void up_console_input(void) { object_notify(&system_object, 1); }

/* A structure that says its own size by n. */
static int get_request(void *req, u64 size, u64 user, u64 n)
{
	return n == size ? ucopy_in(req, user, size) : -E_INVAL;
}

static s64 console_write(u64 user, u64 n)
{
	char buf[COPY_CHUNK];
	u32 part = (u32)MIN(n, sizeof(buf));
	int r = ucopy_in(buf, user, part);

	return r ? r : (s64)uart_write(buf, part);
}

static s64 console_read(u64 user, u64 n)
{
	char buf[COPY_CHUNK];
	u32 got = uart_read(buf, (u32)MIN(n, sizeof(buf)));
	int r = got ? ucopy_out(user, buf, got) : 0;

	return r ? r : (s64)got;
}

static s64 log_write(u64 user, u64 n)
{
	char buf[201];
	int r;

	if (n > sizeof(buf) - 1)
		return -E_INVAL;
	r = ucopy_in(buf, user, n);
	if (r)
		return r;
	buf[n] = 0;
	log_info("%s", buf);
	return 0;
}

static s64 log_read_op(u64 user, u64 n)
{
	char buf[COPY_CHUNK];
	struct log_read req;
	int r = get_request(&req, sizeof(req), user, n);

	if (r)
		return r;
	req.bytes = log_read(&req.pos, buf, MIN(req.bytes, (u32)sizeof(buf)));
	r = ucopy_out(req.buf, buf, req.bytes);
	return r ? r : ucopy_out(user, &req, sizeof(req));
}

static s64 log_level(u64 user, u64 n)
{
	if (n == ~0ull)
		return log_get_level();
	return n > LOG_DEBUG ? -E_INVAL : (s64)log_set_level((enum log_level)n);
}

static void fill_virt(struct host_info *i)
{
	if (hv_ops) {
		str_copy(i->virt, hv_ops->name, sizeof(i->virt));
		hv_ops->features(i->virt_features, sizeof(i->virt_features));
		return;
	}
	str_copy(i->virt, "none", sizeof(i->virt));
	str_copy(i->virt_reason, no_vms_why, sizeof(i->virt_reason));
}

/* The image, the frame table (8 bytes a frame), the heap, stacks and vCPU areas. */
static u64 own_bytes(void)
{
	return bootinfo.kernel_bytes + frame_total() / PAGE_SIZE * 8 +
	       frame_owner_bytes(FRAME_KERNEL) + frame_owner_bytes(FRAME_PRIVATE);
}

static s64 hostinfo(u64 user, u64 n)
{
	struct host_info i;

	if (n != sizeof(i))
		return -E_INVAL;
	memset(&i, 0, sizeof(i));
	i.cpus = MAX(acpi_facts.cpus, 1u);
	i.cpus_up = cpu_count;
	i.mem_total = frame_total();
	i.mem_free = frame_free_bytes();
	i.mem_kernel = own_bytes();
	i.mem_heap_free = kmem_free_bytes();
	memcpy(i.objects, object_count, sizeof(i.objects));
	i.tsc_hz = clock_tsc_hz();
	i.boot_ns = boot_ns;
	i.first_guest_cycles = first_guest_cycles;
	for (u32 c = 0; c < cpu_count; c++) {
		i.slow_ops += cpus[c]->slow_ops;
		i.nmis += cpus[c]->nmis;
	}
	i.log_dropped = log_dropped();
	str_copy(i.vendor, cpu_facts.vendor, sizeof(i.vendor));
	str_copy(i.brand, cpu_facts.brand, sizeof(i.brand));
	str_copy(i.clock, clock_name(), sizeof(i.clock));
	fill_virt(&i);
	return ucopy_out(user, &i, sizeof(i));
}

/* What was printed must be out before the machine is gone. */
static void say_flushed(const char *line)
{
	log_notice("%s", line);
	uart_flush();
}

static s64 nodeinfo(u64 user, u64 n)
{
	const struct numa *numa = &acpi_facts.numa;
	struct node_info i;
	u32 node;
	int r = get_request(&i, sizeof(i), user, n);

	if (r)
		return r;
	node = i.node;
	if (node >= numa->nodes)
		return -E_NOENT;
	memset(&i, 0, sizeof(i));
	i.node = node;
	i.domain = numa->domain[node];
	i.nodes = numa->nodes;
	for (u32 c = 0; c < cpu_count; c++)
		i.cpus |= (u64)(cpus[c]->node == node) << c;
	frame_node_bytes(node, &i.mem_total, &i.mem_free);
	memcpy(i.distance, numa->distance[node], sizeof(i.distance));
	return ucopy_out(user, &i, sizeof(i));
}
static_assert(NODES_MAX == NUMA_NODES, "struct node_info holds every distance");

static s64 reboot(u64 user, u64 n) { platform_reset(boot_options.reboot, say_flushed); }

static s64 power(u64 user, u64 n)
{
	struct sys_power p;
	int r = get_request(&p, sizeof(p), user, n);

	if (r)
		return r;
	if (p.write)
		uart_flush();
	r = power_access(&p);
	return r ? r : ucopy_out(user, &p, sizeof(p));
}

static s64 debug_exit(u64 user, u64 n)
{
	u16 port = (u16)(n >> 32);

	/* only the port that the user named at boot */
	if (n >> 48 || !port || port != boot_options.exit_port)
		return -E_INVAL;
	uart_flush();
	outl(port, (u32)n);
	return -E_NODEV;
}

static s64 check_tables(u64 user, u64 n) { return mm_check_tables(); }

static s64 acpi_read(u64 user, u64 n)
{
	struct acpi_read req;
	const struct acpi_table *t;
	int r = get_request(&req, sizeof(req), user, n);

	if (r)
		return r;
	if (req.index >= acpi_facts.tables)
		return -E_NOENT;
	t = acpi_facts.table[req.index].data;
	req.offset = MIN(req.offset, t->length);
	req.bytes = MIN(MIN(req.bytes, (u32)PAGE_SIZE), t->length - req.offset);
	memcpy(req.signature, t->signature, sizeof(req.signature));
	r = ucopy_out(req.buf, (const u8 *)t + req.offset, req.bytes);
	return r ? r : ucopy_out(user, &req, sizeof(req));
}

static s64 cmos_read(u64 user, u64 n)
{
	if (n >= CMOS_BYTES)
		return -E_INVAL;
	outb(CMOS_INDEX, (u8)n);
	return inb(CMOS_DATA);
}

static const struct {
	u32 rights;
	s64 (*fn)(u64 user, u64 n);
} op_table[] = {
	[SYSOP_CONSOLE_WRITE] = {R_CONSOLE, console_write},
	[SYSOP_CONSOLE_READ] = {R_CONSOLE, console_read},
	[SYSOP_LOG_WRITE] = {R_LOG, log_write},
	[SYSOP_LOG_READ] = {R_LOG, log_read_op},
	[SYSOP_LOG_LEVEL] = {R_LOG, log_level},
	[SYSOP_HOSTINFO] = {R_STAT, hostinfo},
	[SYSOP_REBOOT] = {R_POWER, reboot},
	[SYSOP_POWER] = {R_POWER, power},
	[SYSOP_DEBUG_EXIT] = {R_POWER, debug_exit},
	[SYSOP_CHECK_TABLES] = {R_STAT, check_tables},
	[SYSOP_ACPI_READ] = {R_STAT, acpi_read},
	[SYSOP_NODEINFO] = {R_STAT, nodeinfo},
	[SYSOP_CMOS_READ] = {R_STAT, cmos_read},
};
static_assert(ARRAY_SIZE(op_table) == SYSOP_OPS, "every operation has a row");

s64 sys_ctl(struct object *obj, const struct sys_args *args)
{
	u64 op = args->a[1];

	if (op >= SYSOP_OPS)
		return -E_INVAL;
	if ((handle_rights((handle_t)args->a[0]) & op_table[op].rights) != op_table[op].rights)
		return -E_RIGHTS;
	return op_table[op].fn(args->a[2], args->a[3]);
}
