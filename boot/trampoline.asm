; Start of the other CPUs. boot/ap_start.c copies this to a page below 1 MiB, where a SIPI starts
; the CPU in real mode with cs:ip = page:0; it leaves for ap_main in the kernel image.
%include "offsets.inc"

CR0_BOOT	equ 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1	; PG WP NE ET MP PE
CR4_BOOT	equ 1 << 5 | 1 << 7		; PAE PGE
MSR_EFER	equ 0xc0000080

%define AT(label) (label - trampoline_start)
%define PARAM(field) AT(trampoline_params) + field

extern ap_main
global trampoline_start, trampoline_32, trampoline_64, trampoline_gdt
global trampoline_params, trampoline_end

section .rodata
align 16
bits 16
trampoline_start:
		cli
		cld
		mov	ax, cs
		mov	ds, ax
		xor	ebx, ebx
		mov	bx, ax
		shl	ebx, 4			; ebx = physical address of this page
		o32 lgdt [PARAM(AP_GDT_LIMIT)]
		mov	eax, cr0
		or	al, 1
		mov	cr0, eax
		o32 jmp far [PARAM(AP_ENTRY32)]

bits 32
trampoline_32:	mov	eax, 0x18
		mov	ds, eax
		mov	ss, eax
		mov	eax, CR4_BOOT
		mov	cr4, eax
		mov	eax, [ebx + PARAM(AP_BOOT_CR3)]
		mov	cr3, eax
		mov	ecx, MSR_EFER
		mov	eax, [ebx + PARAM(AP_EFER)]
		xor	edx, edx
		wrmsr
		mov	eax, CR0_BOOT
		mov	cr0, eax
		jmp	far [ebx + PARAM(AP_ENTRY64)]

bits 64
trampoline_64:	mov	ebx, ebx
		mov	rax, ap_start_image
		jmp	rax

align 8
trampoline_gdt:	dq 0
		dq 0x00cf9b000000ffff		; 0x08: 32-bit code
		dq 0x00af9b000000ffff		; 0x10: 64-bit code
		dq 0x00cf93000000ffff		; 0x18: data
align 8
trampoline_params:
		times AP_PARAMS_SIZE db 0
trampoline_end:

; In the image, so mapped in both tables: the low mapping goes with the boot tables.
section .text
ap_start_image:	mov	rdi, [rbx + PARAM(AP_CPU)]
		mov	rsp, [rbx + PARAM(AP_STACK_TOP)]
		mov	rax, [rbx + PARAM(AP_KERNEL_CR3)]
		mov	cr3, rax
		xor	ebp, ebp		; ends the backtrace
		push	rbp			; as after a call
		mov	rax, ap_main
		jmp	rax

section .note.GNU-stack noalloc noexec nowrite progbits
