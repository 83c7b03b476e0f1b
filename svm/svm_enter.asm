; The world switch of AMD-V. AMD APM 2, "VMRUN Instruction", "#VMEXIT", "Global Interrupt Flag".
%include "offsets.inc"

default rel
section .text

%define GPR(n) rdi + VCPU_REGS_GPR + (n) * 8	; order of enum gpr

; Guest registers but rax and rsp, which VMRUN switches, and rdi, which holds the pointer: number
; and name.
%define SWITCHED 1, rcx, 2, rdx, 3, rbx, 5, rbp, 6, rsi, 8, r8, 9, r9, 10, r10, 11, r11, \
	12, r12, 13, r13, 14, r14, 15, r15

%macro LOAD_GUEST 2-*
%rep %0 / 2
	mov	%2, [GPR(%1)]
%rotate 2
%endrep
%endmacro

%macro SAVE_GUEST 2-*
%rep %0 / 2
	mov	[GPR(%1)], %2
%rotate 2
%endrep
%endmacro

; Room for speculation defences that start-up code patches in, once the CPU's needs are known: 16
; bytes that may change rax, rcx and rdx.
%macro DEFENCE_SLOT 1
global %1
%1:
	times 2 db 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0
%endmacro

; void svm_switch(struct vcpu_regs *regs [rdi], u64 vmcb_hpa [rsi], u64 host_hpa [rdx])
global svm_switch:function
svm_switch:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdx
	push	rdi

	clgi
	; With V_INTR_MASKING the host's IF decides whether a physical interrupt leaves the guest.
	sti
	DEFENCE_SLOT svm_slot_enter
	mov	rax, rsi			; VMLOAD, VMRUN and VMSAVE take the block in rax
	vmload
	LOAD_GUEST SWITCHED
	mov	rdi, [GPR(7)]

	vmrun
	; The CPU restored rsp, and rax: the guest's control block. GS and TR are still the guest's.
	push	rdi
	mov	rdi, [rsp + 8]
	SAVE_GUEST SWITCHED
	pop	rcx
	mov	[GPR(7)], rcx

	vmsave
	mov	rax, [rsp + 8]
	vmload
	DEFENCE_SLOT svm_slot_leave

	; No guest value stays in a register where ring 0 could be made to speculate on it.
	xor	eax, eax
	xor	ecx, ecx
	xor	edx, edx
	xor	esi, esi
	xor	edi, edi
	xor	r8d, r8d
	xor	r9d, r9d
	xor	r10d, r10d
	xor	r11d, r11d
	add	rsp, 16
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	; Only here is everything the host's again: an NMI that waited is taken at STGI.
	cli
	stgi
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
