; Into an operation, and the way back to a known state.
bits 64
global launch, settle
extern gdt_pointer, idt_pointer

DATA	equ 0x10
CODE64	equ 0x18
UDATA	equ 0x30 | 3

section .text
; void launch(struct context *c): does not return
launch:
	mov	rsp, rdi
	pop	rax
	mov	ds, eax
	mov	es, eax
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rdi
	pop	rsi
	pop	rbp
	pop	rbx
	pop	rdx
	pop	rcx
	pop	rax
	iretq

; void settle(void): tables, segments and flags as they were; the IRET also ends an NMI.
settle:
	lgdt	[gdt_pointer]
	lidt	[idt_pointer]
	mov	eax, UDATA
	mov	ds, eax
	mov	es, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	pop	rdx
	mov	rcx, rsp
	push	DATA
	push	rcx
	push	2
	push	CODE64
	push	rdx
	iretq
section .note.GNU-stack
