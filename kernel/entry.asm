; Ways into and out of ring 0: system calls, traps, thread switch. AMD APM 2 "SYSCALL and SYSRET",
; "Exceptions and Interrupts".
%include "offsets.inc"
%include "include/hv/stack.inc"

MSR_GS_BASE     equ 0xc0000101

extern syscall_dispatch
extern trap_handler
extern trap_nmi_stack
extern thread_first_run
extern cpu_facts

default rel
section .text

; The speculation defences on the way to ring 3; the way in needs none yet, a guest's are the
; back-end's.
%macro  USER_LEAVE_DEFENCE 0
        test    byte [cpu_facts + FACTS_SPEC], SPEC_BUFFERS
        jz      %%unneeded
        verw    [data_selector]
%%unneeded:
%endmacro

; ---- System calls --------------------------------------------------------------------------------
; The six arguments are pushed so that they are a struct sys_args. C code keeps KEPT_REGS.
%define SYS_ARGS r9, r8, r10, rdx, rsi, rdi

global  syscall_entry
syscall_entry:
        swapgs
        mov     [gs:CPU_USER_RSP], rsp
        mov     rsp, [gs:CPU_KSTACK_TOP]
        PUSH_LIST qword [gs:CPU_USER_RSP], r11, rcx     ; rsp, rflags, rip
        PUSH_LIST SYS_ARGS
        mov     edi, eax
        mov     rsi, rsp
        call    syscall_dispatch
        POP_LIST SYS_ARGS
; SYSRET faults in ring 0 on a non-canonical rip. rcx follows a SYSCALL instruction that ring 3
; executed, and the last page below the canonical boundary is never mapped (USER_VA_MAX), so it is
; canonical.
        pop     rcx
        pop     r11
        USER_LEAVE_DEFENCE
        pop     rsp
        swapgs
        o64 sysret

; ---- Traps ---------------------------------------------------------------------------------------
%define TRAP_REGS rdi, rsi, rdx, rcx, rax, r8, r9, r10, r11, rbx, rbp, r12, r13, r14, r15

%macro  LEAVE_TRAP 0
        POP_LIST TRAP_REGS
        add     rsp, 16                         ; vector, error
        iretq
%endmacro

trap_common:
        PUSH_LIST TRAP_REGS
        cld
        test    byte [rsp + TRAP_CS], 3
        jz      .kernel
        swapgs
        mov     rdi, rsp
        xor     ebp, ebp
        call    trap_handler
.to_user:
        USER_LEAVE_DEFENCE
        swapgs
        LEAVE_TRAP
.kernel:
        mov     rdi, rsp
        call    trap_handler
        LEAVE_TRAP

; void trap_return(struct trap_frame *): to ring 3.
global  trap_return
trap_return:
        mov     rsp, rdi
        jmp     trap_common.to_user

; NMI, #DB, #DF and #MC come at any instruction, also before the first or after the last swapgs.
; Ring 3 cannot load GS (CR4.FSGSBASE is off), so its base is 0 and a negative one is the kernel's.
trap_paranoid:
        PUSH_LIST TRAP_REGS
        cld
        mov     ecx, MSR_GS_BASE
        rdmsr
        xor     ebx, ebx
        test    edx, edx
        js      .kernel_gs
        swapgs
        inc     ebx
.kernel_gs:
        mov     rdi, rsp
        call    trap_nmi_stack
        test    ebx, ebx
        jz      .out
        swapgs
.out:
        LEAVE_TRAP

%macro  STUB 1
        align   16
%if %1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30
        nop                                     ; the CPU pushed an error code
%else
        push    0
%endif
        push    %1
%if %1 == 1 || %1 == 2 || %1 == 8 || %1 == 18
        jmp     near trap_paranoid
%else
        jmp     near trap_common
%endif
%endmacro

; 256 stubs of 16 bytes; the IDT is filled by arithmetic.
        align   16
global  trap_stubs
trap_stubs:
%assign v 0
%rep    256
        STUB    v
%assign v v + 1
%endrep
        align   16
global  trap_stubs_end
trap_stubs_end:

        align   2
data_selector   dw 0x10                         ; of VERW

; ---- Thread switch -------------------------------------------------------------------------------
; void switch_stack(u64 *save_rsp, u64 next_rsp, u64 next_cr3, bool first)
; Stacks are mapped in their domain's private slot only: nothing touches one between the two moves.
global  switch_stack
switch_stack:
        PUSH_LIST KEPT_REGS
        mov     [rdi], rsp
        test    rdx, rdx
        jz      .same_space
        mov     cr3, rdx
.same_space:
        mov     rsp, rsi
        test    cl, cl
        jnz     .first
        POP_LIST KEPT_REGS
        ret
.first:                                         ; a thread that never ran
        xor     ebp, ebp
        call    thread_first_run
        ud2
