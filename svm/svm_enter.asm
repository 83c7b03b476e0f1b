; The world switch of AMD-V. AMD APM 2, "VMRUN Instruction", "#VMEXIT", "Global Interrupt Flag".
%include "include/hv/guest_regs.inc"

section .text

; void svm_switch(struct vcpu_regs *regs [rdi], u64 vmcb_hpa [rsi], u64 host_hpa [rdx])
global svm_switch:function
svm_switch:
	PUSH_LIST KEPT_REGS
	push	rdx
	push	rdi

	clgi
	; With V_INTR_MASKING the host's IF decides whether a physical interrupt leaves the guest.
	sti
	mov	rax, rsi			; VMLOAD, VMRUN and VMSAVE take the block in rax
	vmload
	LOAD_GUEST SWITCHED
	mov	rdi, [GPR(7)]

	vmrun
	; The CPU restored rsp, and rax: the guest's control block. GS and TR are still the guest's.
	push	rdi
	mov	rdi, [rsp + 8]
	SAVE_GUEST SWITCHED
	pop	qword [GPR(7)]

	vmsave
	mov	rax, [rsp + 8]
	vmload

	xor	eax, eax
	add	rsp, 16
	POP_HOST
	; Only here is everything the host's again: an NMI that waited is taken at STGI.
	cli
	stgi
	ret
