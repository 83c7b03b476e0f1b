; First code of a tiny guest: multiboot-1 header, stack, and for -DLONG the way to long mode.
; The first 4 GiB are mapped one to one then, by 2 MiB pages; else paging stays off.
bits 32
global _start, gdt, boot_magic, boot_info, page_pml4
extern guest_start

MULTIBOOT_MAGIC equ 0x1badb002
MULTIBOOT_FLAGS equ 3				; modules page-aligned, memory information

CR0_PE	equ 1 << 0
CR0_MP	equ 1 << 1
CR0_ET	equ 1 << 4
CR0_NE	equ 1 << 5
CR0_PG	equ 1 << 31
CR4_PAE	equ 1 << 5
CR4_OSFXSR equ 1 << 9
CR4_OSXMMEXCPT equ 1 << 10
MSR_EFER equ 0xc0000080
EFER_LME equ 1 << 8
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
	jmp	0x08:.flat
.flat:	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	fs, eax
	mov	gs, eax
	mov	eax, CR4_OSFXSR | CR4_OSXMMEXCPT
	mov	cr4, eax
	mov	eax, CR0_PE | CR0_MP | CR0_ET | CR0_NE
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
	mov	eax, cr4
	or	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, page_pml4
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME
	wrmsr
	mov	eax, cr0
	or	eax, CR0_PG
	mov	cr0, eax
	jmp	0x18:.long
bits 64
.long:	call	guest_start
	jmp	$
%endif

section .data
	align	16
gdt:	dq	0
	dq	0x00cf9b000000ffff		; 0x08 code, 32 bits
	dq	0x00cf93000000ffff		; 0x10 data
	dq	0x00af9b000000ffff		; 0x18 code, 64 bits
	dq	0x00009b000000ffff		; 0x20 code, 16 bits
	dq	0x000093000000ffff		; 0x28 data, 16 bits
gdt_end:
gdt_register:
	dw	gdt_end - gdt - 1
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
