; From the firmware's 64-bit mode to the multiboot2 machine state: 32-bit protected mode without
; paging. Multiboot2 Specification 2.0, "I386 machine state". Copied below 4 GiB, where addresses are physical ones
; (UEFI 2.10, "Handoff State"), and left only forwards.

MB2_LOADER_MAGIC equ 0x36d76289
CR0_PG		equ 1 << 31
CR4_PCIDE	equ 1 << 17			; must go before paging does
MSR_EFER	equ 0xc0000080

global handoff_start, handoff_bytes

section .text
default rel
bits 64
handoff_start:	cli				; rdi = entry, rsi = information
		cld
		mov	rbx, rsi
		sub	rsp, 16
		mov	word [rsp], gdt_end - gdt - 1
		lea	rax, [gdt]
		mov	[rsp + 2], rax
		lgdt	[rsp]
		mov	rax, cr4
		and	rax, ~CR4_PCIDE
		mov	cr4, rax
		push	qword 0x08
		lea	rax, [protected]
		push	rax
		o64 retf

bits 32
protected:	mov	eax, 0x10
		mov	ds, eax
		mov	es, eax
		mov	fs, eax
		mov	gs, eax
		mov	ss, eax
		mov	eax, cr0
		and	eax, ~CR0_PG
		mov	cr0, eax		; leaves long mode
		xor	eax, eax
		mov	cr4, eax
		xor	edx, edx
		mov	ecx, MSR_EFER
		wrmsr
		mov	eax, MB2_LOADER_MAGIC
		jmp	edi

align 8
gdt:		dq 0				; accessed already: the CPU writes nothing here
		dq 0x00cf9b000000ffff		; 0x08: 32-bit code
		dq 0x00cf93000000ffff		; 0x10: data
gdt_end:
handoff_end:

section .rodata
handoff_bytes:	dd handoff_end - handoff_start

section .note.GNU-stack noalloc noexec nowrite progbits
