#include "vmm/ram.h"

#include "user/sys.h"

#define MEMORY_UNIT PAGE_2M

static int map_guest(handle_t vm, handle_t mem, u64 gpa, u64 offset, u64 end)
{
	s64 err = mem_map(vm, mem, gpa, offset, end - gpa, PROT_R | PROT_W);

	if (err)
		rt_log("guest memory at %#llx: %s", (unsigned long long)gpa, rt_error(err));
	return (int)err;
}

static int populate(const u8 *host, u64 bytes)
{
	u64 there = rt_populate(host, bytes);

	if (there == bytes)
		return 0;
	rt_log("populate: the host has memory for only %llu of the VM's %llu MiB; give it less "
	       "memory, or end another VM",
	       (unsigned long long)(there >> 20), (unsigned long long)(bytes >> 20));
	return -E_NOMEM;
}

int ram_create(struct ram *r, handle_t vm, u64 bytes, bool at_once)
{
	handle_t mem;
	int err;
	s64 h;

	if (!bytes || !IS_ALIGNED(bytes, MEMORY_UNIT)) {
		rt_log("memory: %llu bytes is not a multiple of 2 MiB", (unsigned long long)bytes);
		return -E_INVAL;
	}
	h = mem_create(bytes, MEM_GUEST);
	if (h < 0) {
		rt_log("memory: %llu MiB: %s", (unsigned long long)(bytes >> 20), rt_error(h));
		return (int)h;
	}
	mem = (handle_t)h;
	r->host = rt_map(mem, bytes, PROT_R | PROT_W, &err);
	if (!r->host) {
		rt_log("memory: mapping it here: %s", rt_error(err));
		return err;
	}
	if (at_once) {
		err = populate(r->host, bytes);
		if (err)
			return err;
	}
	r->low = MIN(bytes, RAM_LOW_MAX);
	r->high = bytes - r->low;
	err = map_guest(vm, mem, 0, 0, RAM_HOLE);
	if (!err)
		err = map_guest(vm, mem, RAM_HOLE_END, RAM_HOLE_END, r->low);
	if (!err && r->high)
		err = map_guest(vm, mem, RAM_HIGH_BASE, r->low, RAM_HIGH_BASE + r->high);
	return err;
}
