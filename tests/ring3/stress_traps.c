/* What ends a domain by an exception, whatever its program is up to. */
#include "tests/ring3/stress.h"

#define STATUS_FAULT 0x100

/* Does not end by itself. */
#define TRAP(name, code)                                                                           \
	void name(void);                                                                           \
	__asm__(#name ":\n" code "\n1: jmp 1b\n")
TRAP(trap_ud, "ud2");
TRAP(trap_hlt, "hlt");
TRAP(trap_icebp, ".byte 0xf1");
TRAP(trap_tf, "pushf; orl $0x100, (%rsp); popf; nop");
TRAP(trap_int3, "int3");
TRAP(trap_int2, "int $2");
TRAP(trap_int18, "int $18");
TRAP(trap_int32, "int $32");
TRAP(trap_fpu, "fninit");
TRAP(trap_sse, "xorps %xmm0, %xmm0");
TRAP(trap_jump, "movabsq $0x8000000000000000, %rax; jmp *%rax");
TRAP(trap_kernel, "movq $-4096, %rax; movq (%rax), %rax");
TRAP(trap_top, "movabsq $0x7fffffffeffe, %rax; jmp *%rax");
TRAP(trap_div, "xorl %ecx, %ecx; divl %ecx");
TRAP(trap_align, "pushf; orl $0x40000, (%rsp); popf; movl 1(%rsp), %eax; ud2");
TRAP(trap_nt, "pushf; orl $0x4000, (%rsp); popf; movl $18, %eax; syscall; ud2");
TRAP(trap_gs, "movl $0x1b, %eax; movl %eax, %gs; movl %eax, %fs; movl $18, %eax; syscall; ud2");
static_assert(SYS_CLOCK_GET == 18, "used in assembly");

void traps(handle_t board)
{
	static void (*const code[])(void) = {
		trap_ud,    trap_hlt,	trap_icebp, trap_tf,  trap_int3, trap_int2,
		trap_int18, trap_int32, trap_fpu,   trap_sse, trap_jump, trap_kernel,
		trap_top,   trap_div,	trap_align, trap_nt,  trap_gs,
	};

	for (u32 i = 0; i < ARRAY_SIZE(code); i++) {
		struct thread_args a = {
			.size = sizeof(a), .entry = (u64)code[i], .stack = INIT_STACK_TOP - 64};
		handle_t d = (handle_t)domain_create(MiB(4), "a domain with code that traps   ");
		s64 t, r;

		check(load(d, board, BOARD_VA), "load", i);
		t = thread_create(d, &a);
		thread_set((handle_t)t, THREAD_START, 0);
		r = wait_end(d, 600000000000ull);
		check(r == STATUS_FAULT, "a trap does not end its domain",
		      (s64)i << 32 | (r & 0xffffffff));
		check(thread_create(d, &a) < 0, "a thread in a domain that has ended", i);
		handle_close((handle_t)t);
		handle_close(d);
	}
	handle_close((handle_t)domain_create(KiB(64), "a domain that is never used     "));
}
