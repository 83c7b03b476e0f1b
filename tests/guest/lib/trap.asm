; 256 interrupt stubs, try_call and its way out, for both widths.
%ifdef LONG
bits 64
%define WORD_BYTES 8
%define WORD dq
%else
bits 32
%define WORD_BYTES 4
%define WORD dd
%endif
global trap_stubs, try_call, try_abort
extern trap_entry

ERROR_CODE equ 0x60227d00			; vectors that push one: 8, 10-14, 17, 21, 29, 30

section .text
%assign n 0
%rep 256
	align	16
stub%+n:
%if n > 31 || !((ERROR_CODE >> n) & 1)
	push	0
%endif
	push	n
	jmp	saved
%assign n n + 1
%endrep

%ifdef LONG
saved:	push	rax
	push	rcx
	push	rdx
	push	rbx
	push	rbp
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld
	mov	rdi, rsp
	mov	rbp, rsp
	and	rsp, -16
	call	trap_entry
	mov	rsp, rbp
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
	add	rsp, 16
	iretq

; long try_call(void (*fn)(void *), void *arg): -1, or what try_abort was given
try_call:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	push	qword [try_stack]
	mov	[try_stack], rsp
	mov	rax, rdi
	mov	rdi, rsi
	call	rax
	mov	rax, -1
try_end:
	pop	qword [try_stack]
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

; void try_abort(long value): ends the innermost try_call
try_abort:
	mov	rax, rdi
	mov	rsp, [try_stack]
	jmp	try_end
%else
saved:	pusha
	cld
	mov	eax, esp
	push	eax
	call	trap_entry
	add	esp, 4
	popa
	add	esp, 8
	iret

try_call:
	mov	eax, [esp + 4]
	mov	ecx, [esp + 8]
	push	ebx
	push	ebp
	push	esi
	push	edi
	push	dword [try_stack]
	mov	[try_stack], esp
	push	ecx
	call	eax
	add	esp, 4
	mov	eax, -1
try_end:
	pop	dword [try_stack]
	pop	edi
	pop	esi
	pop	ebp
	pop	ebx
	ret

try_abort:
	mov	eax, [esp + 4]
	mov	esp, [try_stack]
	jmp	try_end
%endif

section .rodata
	align	8
trap_stubs:
%assign n 0
%rep 256
	WORD	stub%+n
%assign n n + 1
%endrep

section .bss
global try_stack
	align	8
try_stack: resb WORD_BYTES
section .note.GNU-stack
