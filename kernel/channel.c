#include "kernel/domain.h"
#include "kernel/ipc.h"
#include "kernel/sched.h"
#include "kernel/syscall.h"
#include "lib/string.h"

/* ipc_result while a call is under way: no error has this value */
#define IPC_PENDING (-(s64)E_ERRORS)

static void finish_call(struct thread *client, s64 result)
{
	list_del(&client->wait_link);
	client->ipc_result = result;
	client->peer = NULL;
	thread_wake(client);
}

/* Ends a call; false: there is none. */
static bool end_one(struct channel *c)
{
	struct list *n;
	struct thread *client;

	spin_lock(&c->obj.lock);
	n = list_pop_front(list_empty(&c->callers) ? &c->served : &c->callers);
	client = n ? list_entry(n, struct thread, wait_link) : NULL;
	if (n && client->peer)
		client->peer->peer = NULL;
	if (n)
		finish_call(client, -E_DEAD);
	spin_unlock(&c->obj.lock);
	return n;
}

static void revoke(struct object *o)
{
	while (end_one(container_of(o, struct channel, obj)))
		preempt_point();
}

const struct object_ops channel_object_ops = {.revoke = revoke};

s64 sys_channel_create(struct object *obj, const struct sys_args *args)
{
	struct domain *d = current_domain();
	struct channel *c = object_new(OBJ_CHANNEL, sizeof(*c), &d->quota);

	if (!c)
		return -E_NOMEM;
	list_init(&c->callers);
	list_init(&c->served);
	return handle_install(d, &c->obj, R_ALL);
}

/*
 * Ends the call that the server has taken: with the reply in its message page, or an error. Its
 * caller may be gone.
 */
static void answer(struct thread *server, s64 result)
{
	struct channel *c = server->channel;
	struct thread *client;

	spin_lock(&c->obj.lock);
	client = server->peer;
	sched_served(client);
	server->peer = NULL;
	server->channel = NULL;
	if (client) {
		if (result > 0)
			memcpy(client->msg, server->msg, (u64)result * sizeof(u64));
		finish_call(client, result);
	}
	spin_unlock(&c->obj.lock);
	object_put(&c->obj);
}

void channel_thread_ended(struct thread *t)
{
	if (t->channel)
		answer(t, -E_DEAD);
}

/* The caller of a channel that is gone has been told; its server is free for another. */
static void drop_revoked(struct thread *t)
{
	if (t->channel && t->channel->obj.dead)
		answer(t, -E_DEAD);
}

s64 sys_channel_call(struct object *obj, const struct sys_args *args)
{
	struct channel *c = container_of(obj, struct channel, obj);
	struct thread *t = thread_current();

	if (!t->msg || args->a[1] > MSG_WORDS)
		return -E_INVAL;
	drop_revoked(t);
	if (t->channel) /* a server must answer before it calls */
		return -E_STATE;
	object_get(obj);
	thread_block_prepare();
	spin_lock(&c->obj.lock);
	t->ipc_words = args->a[1];
	t->ipc_result = obj->dead ? -E_DEAD : IPC_PENDING;
	if (!obj->dead) {
		list_push_back(&c->callers, &t->wait_link);
		thread_wake_first(&c->obj.waiters);
	}
	spin_unlock(&c->obj.lock);
	if (obj->dead)
		thread_block_cancel();
	else
		thread_block(DEADLINE_NEVER);

	spin_lock(&c->obj.lock);
	if (t->ipc_result == IPC_PENDING) { /* told to leave before the reply */
		list_del(&t->wait_link);
		if (t->peer)
			t->peer->peer = NULL;
		t->peer = NULL;
		t->ipc_result = -E_INTR;
	}
	spin_unlock(&c->obj.lock);
	object_put(obj);
	return t->ipc_result;
}

/* Hands the first waiting call to the current thread; 0 when there is none. Channel lock held. */
static s64 receive(struct object *o, void *arg)
{
	struct channel *c = container_of(o, struct channel, obj);
	struct list *n = list_pop_front(&c->callers);
	struct thread *client, *server = thread_current();

	if (!n)
		return 0;
	client = list_entry(n, struct thread, wait_link);
	memcpy(server->msg, client->msg, client->ipc_words * sizeof(u64));
	server->ipc_words = client->ipc_words;
	server->peer = client;
	client->peer = server;
	list_push_back(&c->served, &client->wait_link);
	server->channel = c;
	object_get(o);
	return 1;
}

s64 sys_channel_reply_wait(struct object *obj, const struct sys_args *args)
{
	struct channel *c = container_of(obj, struct channel, obj);
	struct thread *t = thread_current();
	s64 r;

	if (!t->msg || args->a[1] > MSG_WORDS)
		return -E_INVAL;
	drop_revoked(t);
	if (t->channel && t->channel != c)
		return -E_STATE;
	object_get(obj); /* the one that the call served had may go with the answer */
	if (t->channel)
		answer(t, (s64)args->a[1]);
	r = ipc_wait(obj, args->a[2], receive, NULL);
	object_put(obj);
	return r < 0 ? r : (s64)t->ipc_words;
}
