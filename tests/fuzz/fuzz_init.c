// SOURCES: services/init/finish.c services/init/manager.c services/init/options.c
// SOURCES: services/init/power.c services/init/process.c services/init/service.c
// SOURCES: services/init/vms.c services/init/wall_clock.c services/common/cpio.c
// SOURCES: services/common/image.c
// SOURCES: services/common/reason.c services/common/s5.c services/common/vmdef.c lib/fmt.c
// SOURCES: services/common/cap.c services/common/cpulist.c
// SOURCES: lib/str_copy.c user/populate.c
// MAX_LEN: 2048
/*
 * The root task as a whole: calls of a hostile manager, monitors that end at any time and leave
 * anything behind, system calls that fail. It keeps no handle too many, holds its lock as it
 * should, and logs nothing but text.
 */
#include "tests/fuzz/fake_kernel.h"
#include "tests/host/programs_archive.h"

#include "services/init/main.c"

#define FIRST_MODULE 100u
#define DEFINITIONS 4u

static const char *const definition[DEFINITIONS] = {
	"name = a\nkernel = @image\nmemory = 2M\nconsole = attach\n",
	"name = b\nkernel = @image\ninitrd = @image\non_exit = restart:2\n",
	"name = c\nkernel = @image\non_exit = preserve\nautostart = no\n",
	"name = d\nkernel = @nothing\n",
};

static struct {
	struct init_info info;
	u8 archive[32768];
	u32 archive_bytes;
	struct vm_shared *shared[INIT_VMS];
	u32 rings;
	jmp_buf served; /* the end of a manager's calls */
	u32 calls;
} world;

/* ---- What the boot left ---- */

static void add_module(const char *name, u64 bytes)
{
	struct init_module *m = &world.info.module[world.info.modules];

	str_copy(m->name, name, sizeof(m->name));
	m->memory = FIRST_MODULE + world.info.modules++;
	m->size = bytes;
}

static void build(u8 choice)
{
	static const char *const options[] = {"", "exit=last-vm", "autostart=off",
					      "exit=last-vm autostart=off"};
	char name[16];

	if (!world.archive_bytes)
		world.archive_bytes = programs_archive(world.archive);
	world.info = (struct init_info){
		.size = sizeof(world.info), .uapi_version = UAPI_VERSION, .system = 1};
	world.rings = world.calls = 0;
	str_copy(world.info.cmdline, options[choice & 3], sizeof(world.info.cmdline));
	add_module("programs", world.archive_bytes);
	add_module("image", 5000);
	for (u32 i = 0; i < DEFINITIONS; i++) {
		snprintf(name, sizeof(name), "vm:%u.vm", i);
		add_module(name, strlen(definition[i]));
	}
}

void *rt_map(handle_t mem, u64 bytes, u32 prot, int *err)
{
	u32 module = mem - FIRST_MODULE;
	void *p = fuzz_u8(&kernel.in) >= 0xf8 && kernel.in.left ? NULL : map_new(bytes, mem);

	if (err)
		*err = p ? 0 : -E_NOMEM;
	if (p && module == 0)
		memcpy(p, world.archive, world.archive_bytes);
	else if (p && module - 2 < DEFINITIONS)
		memcpy(p, definition[module - 2], strlen(definition[module - 2]));
	else if (p && bytes >= sizeof(struct vm_shared) && bytes < KiB(128) &&
		 world.rings < INIT_VMS)
		world.shared[world.rings++] = p;
	return p;
}

void rt_unmap(void *p, u64 bytes) { mem_unmap(HANDLE_SELF, (u64)p, bytes); }

/* ---- The others ---- */

static void monitor_acts(void)
{
	struct vm_shared *s = world.rings ? world.shared[fuzz_u8(&kernel.in) % world.rings] : NULL;

	if (!s)
		return;
	switch (fuzz_u8(&kernel.in) & 7) {
	case 0:
		s->state = VM_STATE_SHUTDOWN;
		s->reason = fuzz_u8(&kernel.in);
		s->status = fuzz_u8(&kernel.in);
		break;
	case 1: fuzz_fill(&kernel.in, s->log, fuzz_u8(&kernel.in)); break;
	case 2: memset(s->log, 'x', sizeof(s->log)); break;
	case 3: s->out_head = fuzz_u64(&kernel.in); break;
	case 4: s->attached = fuzz_u8(&kernel.in) & 1; break;
	default: kernel_scribble(s, sizeof(*s)); break;
	}
}

/* A few calls of the manager, then back to the main thread. */
static s64 answer_reply_wait(void)
{
	if (!kernel.in.left || !world.calls--)
		longjmp(world.served, 1);
	for (u32 i = 0; i < 3; i++)
		kernel.msg.word[i] =
			fuzz_u8(&kernel.in) & 0x80 ? fuzz_u64(&kernel.in) : fuzz_u8(&kernel.in) % 8;
	return fuzz_u8(&kernel.in) >= 0xf0 ? -E_INTR : fuzz_u8(&kernel.in) % 65;
}

static s64 answer_port(struct port_packet *p, u64 max, u64 deadline)
{
	u8 what = fuzz_u8(&kernel.in);
	u32 index = fuzz_u8(&kernel.in) % DEFINITIONS;

	wait_until(deadline);
	if (what & 1) {
		world.calls = 1 + (what >> 4);
		if (!setjmp(world.served))
			service_thread(&init);
		init.lock.state = 0; /* what cut it short was the end of the input */
	}
	if (what & 2) /* an old generation, or the present one */
		p[0].key = KEY(KEY_VM, index, init.vm[index].generation - (what >> 7));
	else if (what & 4)
		p[0].key = KEY(KEY_MANAGER, 0, init.manager_restarts - (what >> 7));
	else
		p[0].key = KEY(KEY_WAKE, 0, 0);
	return 1;
}

static s64 answer_ctl(u64 op, void *p, u64 n)
{
	if (op == SYSOP_CONSOLE_WRITE) {
		for (u64 i = 0; i < n; i++)
			world.archive[sizeof(world.archive) - 1] ^= ((const u8 *)p)[i];
		return (s64)n;
	}
	if (op == SYSOP_HOSTINFO) {
		memset(p, 0, n);
	} else if (op == SYSOP_ACPI_READ) {
		struct acpi_read *r = p;

		memcpy(r->signature, r->index % 3 ? "SSDT" : "DSDT", 4);
		r->bytes = r->offset < 64 * r->index ? 64 : 0;
		fuzz_fill(&kernel.in, (void *)r->buf, r->bytes);
		return kernel.in.left ? 0 : -E_NOENT;
	}
	return fuzz_u8(&kernel.in) & 0x80 ? -E_NODEV : 0;
}

/* rt_populate: for one mapping or another there is no memory. */
static s64 answer_touch(u64 va)
{
	for (u32 i = 0; i < kernel.maps; i++)
		if ((u64)kernel.map[i].p == va)
			return fuzz_u8(&kernel.in) >= 0xf8 ? -E_FAULT : -E_INVAL;
	return -E_INVAL;
}

static s64 target_call(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	if (nr == SYS_DOMAIN_CREATE && !a)
		return answer_touch(b);
	if (nr == SYS_CTL && b == SYSOP_CMOS_READ)
		return 0xff; /* no clock */
	if (fuzz_u8(&kernel.in) & 0x40)
		monitor_acts();
	switch (nr) {
	case SYS_CHANNEL_REPLY_WAIT: return answer_reply_wait();
	case SYS_PORT_WAIT: return answer_port((struct port_packet *)b, c, d);
	case SYS_CTL: return answer_ctl(b, (void *)c, d);
	case SYS_HANDLE_DUP: /* given away: it is in the other's table */
		FUZZ_CHECK(a < FIRST_MODULE ? a == 1 || kernel.live[a] : true,
			   "handle %#lx is given and is none", a);
		return fuzz_u8(&kernel.in) >= 0xf0 ? -E_NOMEM : 7;
	default: return -E_NOSYS;
	}
}

s64 rt_thread(void (*fn)(void *), void *arg) { return handle_new(); }

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	/*
	 * Two ports, channel and events; text of two programs; three objects a VM; eight handles a
	 * process.
	 */
	kernel_begin(data, n, 90, target_call);
	kernel.next = FIRST_MODULE + INIT_MODULES;
	init = (struct init){0};
	build(fuzz_u8(&kernel.in));
	if (!setjmp(kernel.end))
		program_main(&world.info);
	kernel_finish();
	return 0;
}
