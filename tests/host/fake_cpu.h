/* A CPU for kernel code that runs on the host: GS points to a struct cpu, as in ring 0. */
#pragma once

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/cpu.h"

static struct cpu fake_cpu;

static inline void fake_cpu_install(struct thread *current)
{
	fake_cpu.self = &fake_cpu;
	fake_cpu.current = current;
	fake_cpu.up = true;
	syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_cpu);
}
