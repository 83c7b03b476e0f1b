#include "vmm/flat.h"

#include "arch/cpu.h"
#include "user/sys.h"

#define ENTRIES 1024
/* 4 MiB; present, for all rings, writable; accessed and dirty, so that no CPU writes to it. */
#define FLAT_ENTRY 0xe7u

bool flat_table_wanted(const struct vcpu_run *r, u64 cr0)
{
	return r->emulate.walk && !(cr0 & CR0_PG) &&
	       ALIGN_DOWN(r->emulate.gpa, PAGE_SIZE) == VM_FLAT_TABLE;
}

int flat_table_provide(struct machine *m)
{
	u32 *table;
	int err;
	s64 h;

	if (__atomic_exchange_n(&m->has_flat_table, 1, __ATOMIC_ACQ_REL))
		return 0;
	h = mem_create(PAGE_SIZE, MEM_GUEST);
	if (h < 0)
		return (int)h;
	table = rt_map((handle_t)h, PAGE_SIZE, PROT_R | PROT_W, &err);
	if (!table)
		return err;
	for (u32 i = 0; i < ENTRIES; i++)
		table[i] = i << 22 | FLAT_ENTRY;
	return (int)mem_map(m->vm, (handle_t)h, VM_FLAT_TABLE, 0, PAGE_SIZE, PROT_R | PROT_W);
}
