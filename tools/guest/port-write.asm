; port-write PORT VALUE: writes a 32-bit value to an I/O port (the guest's kernel has no /dev/port).
; Numbers are decimal or 0x-hexadecimal. Exit status 2: usage, 1: no permission.
bits 64
global _start

SYS_IOPL equ 172
SYS_EXIT equ 60

section .text
_start:	cmp	qword [rsp], 3
	jne	.usage
	mov	rsi, [rsp + 16]
	call	number
	jc	.usage
	mov	r12, rax
	mov	rsi, [rsp + 24]
	call	number
	jc	.usage
	mov	r13, rax
	mov	eax, SYS_IOPL
	mov	edi, 3
	syscall
	mov	edi, 1
	test	rax, rax
	jnz	.exit
	mov	edx, r12d
	mov	eax, r13d
	out	dx, eax
	xor	edi, edi
.exit:	mov	eax, SYS_EXIT
	syscall
.usage:	mov	edi, 2
	jmp	.exit

; rsi = text -> rax = number; carry: not a number
number:	xor	eax, eax
	mov	ecx, 10				; base
	cmp	word [rsi], '0x'
	jne	.digit
	mov	ecx, 16
	add	rsi, 2
.digit:	movzx	ebx, byte [rsi]
	test	ebx, ebx
	jz	.done
	or	ebx, 0x20			; digits have this bit, letters become lower case
	sub	ebx, '0'
	cmp	ebx, 9
	jbe	.add
	sub	ebx, 'a' - '0' - 10
	cmp	ebx, 10
	jb	.bad
.add:	cmp	ebx, ecx
	jae	.bad
	imul	rax, rcx
	add	rax, rbx
	inc	rsi
	jmp	.digit
.done:	clc
	ret
.bad:	stc
	ret
section .note.GNU-stack
