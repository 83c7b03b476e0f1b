; The world switch of VT-x. Intel SDM 3, "VM Entries", "VM Exits".
%include "include/hv/guest_regs.inc"

section .text

HOST_RSP	equ 0x6c14			; VMCS field

; bool vmx_switch(struct vcpu_regs *regs [rdi], u64 *host_rsp [rsi], bool launched [dl])
global vmx_switch:function
vmx_switch:
	PUSH_LIST KEPT_REGS
	push	rdi
	cmp	[rsi], rsp
	je	.same_stack
	mov	[rsi], rsp
	mov	eax, HOST_RSP
	vmwrite	rax, rsp
.same_stack:
	test	dl, dl
	LOAD_GUEST SWITCHED
	mov	rax, [GPR(0)]
	mov	rdi, [GPR(7)]
	jnz	.resume
	vmlaunch
	jmp	.failed
.resume:
	vmresume
.failed:					; nothing was loaded or changed
	xor	eax, eax
	jmp	vmx_leave

; The CPU restored rsp and all that the VMCS has of the host.
global vmx_exit_point:function
vmx_exit_point:
	; Bochs 2.7 leaves interrupts as open as the guest's IF had them. Nothing comes between
	; these.
	sti
	cli
	push	rdi
	mov	rdi, [rsp + 8]
	SAVE_GUEST SWITCHED
	mov	[GPR(0)], rax
	pop	qword [GPR(7)]
	mov	eax, 1
vmx_leave:
	add	rsp, 8
	POP_HOST
	ret
