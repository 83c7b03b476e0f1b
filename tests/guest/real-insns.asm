; run_16(real): from flat 32-bit code to 16-bit code with base 0, there the instructions at
; insn_slot with the registers of struct insn_state at STATE, and back. real: in real mode, else in
; protected mode.
global low_start, low_end, run_16, insn_slot

LOW	equ 0x7000
STATE	equ 0x7800				; struct insn_state: registers before, then after
AFTER	equ STATE + 32
STACK	equ 0x7700
%define AT(label) (LOW + label - low_start)

section .text
bits 32
run_16:	pusha
	mov	eax, [esp + 36]
	mov	[AT(real)], al
	sidt	[AT(saved_idt)]
	mov	[AT(saved_esp)], esp
	mov	dword [AT(back_offset)], back
	jmp	0x20:AT(narrow)
back:	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	esp, [AT(saved_esp)]
	popa
	ret

section .rodata
bits 16
low_start:
narrow:	mov	ax, 0x28
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	cmp	byte [AT(real)], 0
	je	.run
	mov	eax, cr0
	and	al, ~1
	mov	cr0, eax
	jmp	0:AT(.set)
.set:	o32 lidt [cs:AT(real_idt)]
	xor	ax, ax
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
.run:	mov	esp, STACK
	push	dword [STATE + 28]
	popfd
	mov	eax, [STATE]
	mov	ecx, [STATE + 4]
	mov	edx, [STATE + 8]
	mov	ebx, [STATE + 12]
	mov	ebp, [STATE + 16]
	mov	esi, [STATE + 20]
	mov	edi, [STATE + 24]
insn_slot:
	times 24 nop
	mov	[AFTER], eax
	mov	[AFTER + 4], ecx
	mov	[AFTER + 8], edx
	mov	[AFTER + 12], ebx
	mov	[AFTER + 16], ebp
	mov	[AFTER + 20], esi
	mov	[AFTER + 24], edi
	mov	[AFTER + 32], esp
	mov	esp, STACK
	pushfd
	pop	dword [AFTER + 28]
	cld
	cmp	byte [AT(real)], 0
	je	.out
	o32 lidt [AT(saved_idt)]
	mov	eax, cr0
	or	al, 1
	mov	cr0, eax
.out:	db	0x66, 0xea			; jmp far 0x08:back
back_offset: dd 0
	dw	0x08
	align	4
saved_esp: dd 0
real_idt: dw	0x3ff
	dd	0
saved_idt: dw	0
	dd	0
real:	db	0
low_end:
section .note.GNU-stack noalloc noexec nowrite progbits
