; real_call: from flat 32-bit code to real mode at 0x0700:0000, the test there, and back.
global real_start, real_end, real_call

LOW	equ 0x7000
RESULT	equ 0x800				; offset in the segment; struct real_result
R_CPUID_EAX equ RESULT + 0
R_CPUID_EBX equ RESULT + 4
R_SOFTWARE equ RESULT + 8
R_TIMER	equ RESULT + 10
R_STRING equ RESULT + 12
R_SEGMENT equ RESULT + 14
R_SP_BEFORE equ RESULT + 16
R_SP_AFTER equ RESULT + 18
R_SCRATCH equ RESULT + 20
R_DONE	equ RESULT + 21
STACK	equ 0x700
SCRATCH	equ 0x3ff

section .text
bits 32
real_call:
	pusha
	sidt	[saved_idt]
	mov	[LOW + saved_esp - real_start], esp
	mov	eax, back
	mov	[LOW + back_offset - real_start], eax
	lidt	[real_idt]
	jmp	0x20:LOW + narrow - real_start	; 16-bit segment with base 0: still protected mode
back:	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	fs, eax
	mov	gs, eax
	mov	esp, [LOW + saved_esp - real_start]
	lidt	[saved_idt]
	popa
	ret

section .data
saved_idt: dw 0
	dd	0
real_idt: dw 0x3ff
	dd	0

section .rodata
bits 16
real_start:
narrow:	mov	ax, 0x28
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	eax, cr0
	and	al, ~1
	mov	cr0, eax
	jmp	LOW >> 4:real - real_start
real:	mov	ax, cs
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	mov	sp, STACK
	mov	[R_SP_BEFORE], sp
	xor	ax, ax				; IVT entries 0x60 and 8
	mov	fs, ax
	mov	word [fs:0x60 * 4], software - real_start
	mov	[fs:0x60 * 4 + 2], cs
	mov	word [fs:8 * 4], timer - real_start
	mov	[fs:8 * 4 + 2], cs
	mov	ax, 0x1200
	int	0x60
	mov	[R_SOFTWARE], ax
	xor	eax, eax
	xor	ecx, ecx
	cpuid
	mov	[R_CPUID_EAX], eax
	mov	[R_CPUID_EBX], ebx
	mov	dx, SCRATCH
	mov	al, 0x5c
	out	dx, al
	xor	al, al
	in	al, dx
	mov	[R_SCRATCH], al
	mov	di, R_STRING
	mov	cx, 2
	cld
	rep insb
	mov	ax, 0x5000			; write through one segment, read through another
	mov	gs, ax
	mov	word [gs:0x123], 0x7788
	mov	ax, 0x5010
	mov	gs, ax
	mov	ax, [gs:0x023]
	mov	[R_SEGMENT], ax
	sti
.wait:	hlt
	cmp	word [R_TIMER], 3
	jb	.wait
	cli
	mov	[R_SP_AFTER], sp
	mov	byte [R_DONE], 1
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
	db	0x66, 0xea			; jmp far 0x08:back
back_offset: dd 0
	dw	0x08

software:
	mov	al, 0x34
	iret
timer:	push	ax
	inc	word [cs:R_TIMER]
	mov	al, 0x20
	out	0x20, al
	pop	ax
	iret
	align	4
saved_esp: dd 0
real_end:
section .note.GNU-stack
