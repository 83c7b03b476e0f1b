; Where an application processor starts after SIPI: from real mode to what guest_start has, on a
; stack of its own. ap.c copies ap_code to AP_CODE, below 1 MiB.
bits 16
global ap_code, ap_code_end, ap_stack_top
extern gdt, page_pml4, ap_main

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
GDT_LIMIT equ 6 * 8 - 1				; of start.asm's

section .text
ap_code:
	cli
	mov	ax, cs
	mov	ds, ax
	o32 lgdt [ap_gdt_register - ap_code]
	mov	eax, CR0_PE | CR0_MP | CR0_ET | CR0_NE
	mov	cr0, eax
	jmp	dword 0x08:ap_flat
ap_gdt_register:
	dw	GDT_LIMIT
	dd	gdt
ap_code_end:

bits 32
ap_flat:
	mov	eax, 0x10
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	mov	fs, eax
	mov	gs, eax
	mov	esp, [ap_stack_top]
	mov	eax, CR4_OSFXSR | CR4_OSXMMEXCPT
%ifdef LONG
	or	eax, CR4_PAE
%endif
	mov	cr4, eax
%ifdef LONG
	mov	eax, page_pml4
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME
	wrmsr
	mov	eax, cr0
	or	eax, CR0_PG
	mov	cr0, eax
	jmp	0x18:ap_long
bits 64
ap_long:
%endif
	call	ap_main
	jmp	$

section .data
	align	8
ap_stack_top:
	dq	0
section .note.GNU-stack
