#include "vmm/console.h"

#include "lib/string.h"
#include "user/sys.h"

static bool console_put(struct uart_peer *peer, u8 ch)
{
	struct console *c = container_of(peer, struct console, peer);
	struct vm_shared *s = c->shared;

	if (__atomic_load_n(&s->attached, __ATOMIC_RELAXED)) {
		u64 used = c->out_head - __atomic_load_n(&s->out_tail, __ATOMIC_ACQUIRE);

		/*
		 * A tail further back than the ring is long is nonsense, or from before: overwrite.
		 */
		if (used == VM_RING_BYTES)
			return false;
	}
	s->out[c->out_head % VM_RING_BYTES] = ch;
	__atomic_store_n(&s->out_head, ++c->out_head, __ATOMIC_RELEASE);
	return true;
}

static s32 console_get(struct uart_peer *peer)
{
	struct console *c = container_of(peer, struct console, peer);
	struct vm_shared *s = c->shared;
	u64 head = __atomic_load_n(&s->in_head, __ATOMIC_ACQUIRE);
	u8 ch;

	if (head == c->in_tail)
		return -1;
	/* nonsense, or the writer lapped us: take the last full ring */
	if (head - c->in_tail > VM_INPUT_BYTES)
		c->in_tail = head - VM_INPUT_BYTES;
	ch = s->in[c->in_tail % VM_INPUT_BYTES];
	__atomic_store_n(&s->in_tail, ++c->in_tail, __ATOMIC_RELEASE);
	return ch;
}

static void console_flush(struct uart_peer *peer)
{
	struct console *c = container_of(peer, struct console, peer);

	event_signal(c->notify, VM_NOTIFY_OUTPUT);
}

static const struct uart_peer_ops console_ops = {
	.put = console_put,
	.get = console_get,
	.flush = console_flush,
};

void console_init(struct console *c, struct vm_shared *shared, handle_t notify)
{
	c->peer.ops = &console_ops;
	c->shared = shared;
	c->notify = notify;
	c->out_head = shared->out_head;
	c->in_tail = shared->in_tail;
}

void console_log(struct vm_shared *shared, const char *line)
{
	const u32 room = sizeof(shared->log);
	u32 used = (u32)strnlen(shared->log, room - 1), n = (u32)strnlen(line, room - 2), cut = 0;

	while (used - cut + n + 2 > room) {
		while (cut < used && shared->log[cut] != '\n')
			cut++;
		cut += cut < used;
	}
	memmove(shared->log, shared->log + cut, used - cut);
	used -= cut;
	memcpy(shared->log + used, line, n);
	shared->log[used + n] = '\n';
	shared->log[used + n + 1] = '\0';
}
