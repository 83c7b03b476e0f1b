; First code of a tiny guest: multiboot-1 header, stack, and for -DLONG the way to long mode.
; The first 4 GiB are mapped one to one then, by 2 MiB pages; else paging stays off.
%include "tests/guest/lib/boot.inc"

bits 32
global _start, gdt, boot_magic, boot_info, page_pml4
extern guest_start

MULTIBOOT_MAGIC equ 0x1badb002
MULTIBOOT_FLAGS equ 3				; modules page-aligned, memory information

PTE_P	equ 1
PTE_W	equ 2
PTE_PCD	equ 1 << 4
PTE_PS	equ 1 << 7

section .multiboot
	align	4
	dd	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

section .text
_start:	cli
	cld
	mov	esp, stack_top
	mov	[boot_magic], eax
	mov	[boot_info], ebx
	lgdt	[gdt_register]
	jmp	SEL_CODE32:.flat
.flat:	LOAD_FLAT_DATA
	mov	eax, CR4_OSFXSR | CR4_OSXMMEXCPT
	mov	cr4, eax
	mov	eax, CR0_FLAT
	mov	cr0, eax
%ifndef LONG
	call	guest_start
	jmp	$
%else
	mov	dword [page_pml4], page_pdpt + PTE_P + PTE_W
	mov	edi, page_pdpt
	mov	eax, page_pd + PTE_P + PTE_W
	mov	ecx, 4
.pdpt:	mov	[edi], eax
	add	eax, 4096
	add	edi, 8
	loop	.pdpt
	mov	edi, page_pd
	mov	eax, PTE_P | PTE_W | PTE_PS
.pd:	mov	[edi], eax
	add	edi, 8
	add	eax, 0x200000
	jnc	.pd
	ENTER_LONG .long
	call	guest_start
	jmp	$
%endif

section .data
	align	16
gdt:	dq	0
	dq	0x00cf9b000000ffff		; SEL_CODE32
	dq	0x00cf93000000ffff		; SEL_DATA
	dq	0x00af9b000000ffff		; SEL_CODE64
	dq	0x00009b000000ffff		; 0x20 code, 16 bits
	dq	0x000093000000ffff		; 0x28 data, 16 bits
%if $ - gdt != GDT_ENTRIES * 8
%error boot.inc has another number of entries of this table
%endif
gdt_register:
	dw	GDT_ENTRIES * 8 - 1
	dd	gdt, 0

section .bss nobits alloc write
	align	4096
page_pml4: resb 4096
page_pdpt: resb 4096
page_pd: resb 4 * 4096
	resb	16384
stack_top:
boot_magic: resd 1
boot_info: resd 1
section .note.GNU-stack
