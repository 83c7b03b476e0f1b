/* System-call stubs: one inline function per call, same name, same order of arguments. */
#pragma once

#include "uapi/abi.h"
#include "uapi/run.h"

#ifdef HOST_TEST /* a test stands in for the kernel */
s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f);
#else
static inline s64 sys_call6(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f)
{
	register u64 r10 __asm__("r10") = d;
	register u64 r8 __asm__("r8") = e;
	register u64 r9 __asm__("r9") = f;
	s64 ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#endif

#define SYS0(nr) sys_call6(nr, 0, 0, 0, 0, 0, 0)
#define SYS1(nr, a) sys_call6(nr, (u64)(a), 0, 0, 0, 0, 0)
#define SYS2(nr, a, b) sys_call6(nr, (u64)(a), (u64)(b), 0, 0, 0, 0)
#define SYS3(nr, a, b, c) sys_call6(nr, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define SYS4(nr, a, b, c, d) sys_call6(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0, 0)
#define SYS6(nr, a, b, c, d, e, f)                                                                 \
	sys_call6(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), (u64)(f))

static inline s64 handle_dup(handle_t h, u32 rights, handle_t domain)
{
	return SYS3(SYS_HANDLE_DUP, h, rights, domain);
}
static inline s64 handle_close(handle_t h) { return SYS1(SYS_HANDLE_CLOSE, h); }
static inline s64 handle_info(handle_t h, void *info, u64 size)
{
	return SYS3(SYS_HANDLE_INFO, h, info, size);
}
static inline s64 handle_revoke(handle_t h) { return SYS1(SYS_HANDLE_REVOKE, h); }
static inline s64 domain_create(u64 quota, const char *name)
{
	return SYS2(SYS_DOMAIN_CREATE, quota, name);
}
static inline __noreturn void domain_exit(u32 status)
{
	SYS1(SYS_DOMAIN_EXIT, status);
	__builtin_unreachable();
}
static inline s64 thread_create(handle_t domain, const struct thread_args *a)
{
	return SYS2(SYS_THREAD_CREATE, domain, a);
}
static inline s64 thread_set(handle_t t, enum thread_op op, u64 value)
{
	return SYS3(SYS_THREAD_SET, t, op, value);
}
static inline s64 mem_map(handle_t domain, handle_t mem, u64 va, u64 offset, u64 bytes, u32 prot)
{
	return SYS6(SYS_MAP, domain, mem, va, offset, bytes, prot);
}
static inline s64 mem_unmap(handle_t domain, u64 va, u64 bytes)
{
	return SYS3(SYS_UNMAP, domain, va, bytes);
}
static inline s64 mem_create(u64 bytes, u32 flags) { return SYS2(SYS_MEM_CREATE, bytes, flags); }
static inline s64 event_create(void) { return SYS0(SYS_EVENT_CREATE); }
static inline s64 event_signal(handle_t e, u64 bits) { return SYS2(SYS_EVENT_SIGNAL, e, bits); }
static inline s64 event_wait(handle_t e, u64 deadline) { return SYS2(SYS_EVENT_WAIT, e, deadline); }
static inline s64 port_create(void) { return SYS0(SYS_PORT_CREATE); }
static inline s64 port_bind(handle_t port, handle_t object, u64 key)
{
	return SYS3(SYS_PORT_BIND, port, object, key);
}
static inline s64 port_wait(handle_t port, struct port_packet *p, u64 max, u64 deadline)
{
	return SYS4(SYS_PORT_WAIT, port, p, max, deadline);
}
static inline s64 timer_set(handle_t event, u64 deadline)
{
	return SYS2(SYS_TIMER_SET, event, deadline);
}
static inline s64 channel_create(void) { return SYS0(SYS_CHANNEL_CREATE); }
static inline s64 channel_call(handle_t c, u64 words) { return SYS2(SYS_CHANNEL_CALL, c, words); }
static inline s64 channel_reply_wait(handle_t c, u64 reply_words, u64 deadline)
{
	return SYS3(SYS_CHANNEL_REPLY_WAIT, c, reply_words, deadline);
}
static inline s64 vm_create(void) { return SYS0(SYS_VM_CREATE); }
static inline s64 vm_msi(handle_t vm, u64 address, u32 data)
{
	return SYS3(SYS_VM_MSI, vm, address, data);
}
static inline s64 vm_irq_bind(handle_t vm, handle_t event, u64 address, u32 data)
{
	return SYS4(SYS_VM_IRQ_BIND, vm, event, address, data);
}
static inline s64 vm_policy(handle_t vm, const struct vm_policy *p)
{
	return SYS2(SYS_VM_POLICY, vm, p);
}
static inline s64 vcpu_create(handle_t vm, u32 index, u64 run_va)
{
	return SYS3(SYS_VCPU_CREATE, vm, index, run_va);
}
static inline s64 vcpu_run(handle_t v) { return SYS1(SYS_VCPU_RUN, v); }
static inline s64 vcpu_kick(handle_t v) { return SYS1(SYS_VCPU_KICK, v); }
static inline s64 vcpu_get(handle_t v, struct vcpu_state *s) { return SYS2(SYS_VCPU_GET, v, s); }
static inline s64 vcpu_set(handle_t v, const struct vcpu_state *s)
{
	return SYS2(SYS_VCPU_SET, v, s);
}
static inline s64 sys_ctl(handle_t system, enum sys_op op, const void *p, u64 n)
{
	return SYS4(SYS_CTL, system, op, p, n);
}
