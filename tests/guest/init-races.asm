; What the CPU runs that INIT ends: real mode at page:0, its figures at the end of that page.
global life_code, life_code_end

LIVES	equ 0xff0
WORK	equ 0xff4
FIRST_AX equ 0xff8
FIRST_DX equ 0xffc
PIT_CHANNEL_0 equ 0x40

section .text
bits 16
life_code:
	mov	[cs:FIRST_AX], eax
	mov	[cs:FIRST_DX], edx
	inc	dword [cs:LIVES]
.work:	in	al, PIT_CHANNEL_0		; the monitor's: most of a life is spent there
	or	eax, 0x5a5a0000
	inc	dword [cs:WORK]
	jmp	.work
life_code_end:
section .note.GNU-stack
