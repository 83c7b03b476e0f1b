; Where an application processor starts after SIPI: from real mode to what guest_start has, on a
; stack of its own. ap.c copies ap_code to AP_CODE, below 1 MiB.
%include "tests/guest/lib/boot.inc"

bits 16
global ap_code, ap_code_end, ap_stack_top
extern gdt, page_pml4, ap_main

section .text
ap_code:
	cli
	mov	ax, cs
	mov	ds, ax
	o32 lgdt [ap_gdt_register - ap_code]
	mov	eax, CR0_FLAT
	mov	cr0, eax
	jmp	dword SEL_CODE32:ap_flat
ap_gdt_register:
	dw	GDT_ENTRIES * 8 - 1
	dd	gdt
ap_code_end:

bits 32
ap_flat:
	LOAD_FLAT_DATA
	mov	esp, [ap_stack_top]
	mov	eax, CR4_OSFXSR | CR4_OSXMMEXCPT
	mov	cr4, eax
%ifdef LONG
	ENTER_LONG ap_long
%endif
	call	ap_main
	jmp	$

section .data
	align	8
ap_stack_top:
	dq	0
section .note.GNU-stack
