#include "lib/fmt.h"
#include "lib/string.h"
#include "services/manager/manager.h"
#include "user/sys.h"

#define SHARED_BYTES ALIGN_UP(sizeof(struct vm_shared), PAGE_SIZE)
#define BIND_ROUNDS 1000u
#define BIND_PAUSE_NS 1000000ull

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
	struct init_vm_info *info = &m->vm[index].info;

	if (init_call(m, INIT_VM_INFO, index) < 0)
		return false;
	memcpy(info, &rt_msg()->word[1], sizeof(*info));
	info->name[sizeof(info->name) - 1] = 0;
	info->error[sizeof(info->error) - 1] = 0;
	return true;
}

/* The manager before may still be on its way out and hold the binding. */
static s64 bind_patiently(struct manager *m, handle_t object, u64 key)
{
	s64 e = port_bind(m->port, object, key);

	for (u32 round = 0; e < 0 && round < BIND_ROUNDS; round++) {
		event_wait(m->idle, rt_clock_ns() + BIND_PAUSE_NS);
		e = port_bind(m->port, object, key);
	}
	return e;
}

static int vm_open(struct manager *m, u32 index)
{
	struct vm_client *vm = &m->vm[index];
	s64 e = init_call(m, INIT_VM_ATTACH, index);
	const u64 *word = &rt_msg()->word[1];
	int err;

	if (e < 0)
		return (int)e;
	handle_t shared = (handle_t)word[0], domain = (handle_t)word[3];
	vm->event = (handle_t)word[1];
	vm->notify = (handle_t)word[2];
	if (domain != HANDLE_NONE)
		handle_close(domain);
	vm->view = rt_map(shared, SHARED_BYTES, PROT_R | PROT_W, &err);
	handle_close(shared);
	if (!vm->view)
		return err;
	return (int)bind_patiently(m, vm->notify, index);
}

void vms_open(struct manager *m)
{
	s64 e = bind_patiently(m, m->start.system, KEY_CONSOLE);

	if (e < 0)
		con_printf(m, "error: console input: %s\n", rt_error(e));
	for (m->vms = 0; m->vms < MANAGER_VMS; m->vms++) {
		if (!vm_refresh(m, m->vms) || !m->vm[m->vms].info.present)
			break;
		e = vm_open(m, m->vms);
		if (e < 0)
			con_printf(m, "error: vm %s: %s\n", m->vm[m->vms].info.name, rt_error(e));
	}
}

int vm_domain_info(struct manager *m, u32 index, struct domain_info *out)
{
	s64 e = init_call(m, INIT_VM_ATTACH, index);
	const u64 *word = &rt_msg()->word[1];
	handle_t handle[4];

	if (e < 0)
		return (int)e;
	for (u32 i = 0; i < ARRAY_SIZE(handle); i++)
		handle[i] = (handle_t)word[i];
	memset(out, 0, sizeof(*out));
	e = handle[3] == HANDLE_NONE ? -E_NOENT : handle_info(handle[3], out, sizeof(*out));
	for (u32 i = 0; i < ARRAY_SIZE(handle); i++)
		if (handle[i] != HANDLE_NONE)
			handle_close(handle[i]);
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
