#include "lib/fmt.h"
#include "lib/string.h"
#include "services/manager/manager.h"
#include "user/sys.h"

#define SHARED_BYTES ALIGN_UP(sizeof(struct vm_shared), PAGE_SIZE)

s64 init_sched(struct manager *m, u32 index, enum thread_op op, u64 value)
{
	struct msg_page *msg = rt_msg();
	s64 words;

	memcpy(msg->word, (u64[]){INIT_VM_SCHED, index, op, value}, 4 * sizeof(u64));
	words = channel_call(m->start.init, 4);
	if (words < 0)
		return words;
	return words < 1 ? -E_INVAL : (s64)msg->word[0];
}

s64 init_call(struct manager *m, enum init_call call, u64 index)
{
	struct msg_page *msg = rt_msg();
	s64 words;

	msg->word[0] = call;
	msg->word[1] = index;
	words = channel_call(m->start.init, 2);
	if (words < 0)
		return words;
	return words < 1 ? -E_INVAL : (s64)msg->word[0];
}

bool vm_refresh(struct manager *m, u32 index)
{
	struct vm_client *vm = &m->vm[index];
	struct init_vm_info *info = &vm->info;

	if (init_call(m, INIT_VM_INFO, index) < 0)
		return false;
	memcpy(info, &rt_msg()->word[1], sizeof(*info));
	info->name[sizeof(info->name) - 1] = 0;
	info->error[sizeof(info->error) - 1] = 0;
	if (vm->event != HANDLE_NONE &&
	    (!info->running || vm->event_generation != info->generation)) {
		handle_close(vm->event); /* else it would hold what is left of the monitor */
		vm->event = HANDLE_NONE;
	}
	return true;
}

/* What INIT_VM_ATTACH gives. */
enum { ATTACH_SHARED, ATTACH_EVENT, ATTACH_DOMAIN, ATTACH_HANDLES };

static int vm_handles(struct manager *m, u32 index, handle_t out[ATTACH_HANDLES])
{
	s64 e = init_call(m, INIT_VM_ATTACH, index);

	for (u32 i = 0; i < ATTACH_HANDLES; i++)
		out[i] = e < 0 ? HANDLE_NONE : (handle_t)rt_msg()->word[1 + i];
	return e < 0 ? (int)e : 0;
}

static void close_all(const handle_t *h)
{
	for (u32 i = 0; i < ATTACH_HANDLES; i++)
		if (h[i] != HANDLE_NONE)
			handle_close(h[i]);
}

static int vm_open(struct manager *m, u32 index)
{
	handle_t h[ATTACH_HANDLES];
	int e = vm_handles(m, index, h);

	if (!e)
		m->vm[index].view = rt_map(h[ATTACH_SHARED], SHARED_BYTES, PROT_R | PROT_W, &e);
	close_all(h);
	return e;
}

void vms_open(struct manager *m)
{
	for (m->vms = 0; m->vms < MANAGER_VMS; m->vms++) {
		int e;

		if (!vm_refresh(m, m->vms) || !m->vm[m->vms].info.present)
			break;
		e = vm_open(m, m->vms);
		if (e < 0)
			con_printf(m, "error: vm %s: %s\n", m->vm[m->vms].info.name, rt_error(e));
	}
}

u32 vm_state(const struct vm_client *vm)
{
	return vm->view ? __atomic_load_n(&vm->view->state, __ATOMIC_ACQUIRE) : VM_STATE_STARTING;
}

void vm_signal(struct manager *m, u32 index, u64 bits)
{
	struct vm_client *vm = &m->vm[index];
	handle_t h[ATTACH_HANDLES];

	if (vm->event == HANDLE_NONE && vm->info.running && !vm_handles(m, index, h)) {
		vm->event = h[ATTACH_EVENT];
		vm->event_generation = vm->info.generation;
		h[ATTACH_EVENT] = HANDLE_NONE;
		close_all(h);
	}
	if (vm->event != HANDLE_NONE)
		event_signal(vm->event, bits);
}

int vm_domain_info(struct manager *m, u32 index, struct domain_info *out)
{
	handle_t h[ATTACH_HANDLES];
	s64 e = vm_handles(m, index, h);

	if (e < 0)
		return (int)e;
	memset(out, 0, sizeof(*out));
	e = h[ATTACH_DOMAIN] == HANDLE_NONE ? -E_NOENT
					    : handle_info(h[ATTACH_DOMAIN], out, sizeof(*out));
	close_all(h);
	return e < 0 ? (int)e : 0;
}

s32 vm_find(struct manager *m, const char *name)
{
	const char *end;
	u64 id;

	for (u32 i = 0; i < m->vms; i++)
		if (!strcmp(m->vm[i].info.name, name))
			return (s32)i;
	if (fmt_parse_u64(name, &end, &id) && !*end && id >= 1 && id <= m->vms)
		return (s32)id - 1;
	con_printf(m, "error: no VM named %s: list --all shows them\n", name);
	return -1;
}
