; Start of the other CPUs. kernel/smp.c copies this to a page below 1 MiB, where a SIPI starts
; the CPU in real mode with cs:ip = page:0; it leaves for ap_main in the kernel image.
%include "offsets.inc"

%define AT(label) (label - trampoline_start)

extern ap_main, ap_cpu, boot_long_mode
global trampoline_start, trampoline_image, trampoline_end

section .rodata
align 16
bits 16
trampoline_start:
		cli
		cld
		mov	ax, cs
		mov	ds, ax
		movzx	esi, ax
		shl	esi, 4			; esi = physical address of this page
		lea	eax, [esi + AT(trampoline_gdt)]
		mov	[AT(gdt_pointer) + 2], eax
		lea	eax, [esi + AT(trampoline_32)]
		mov	[AT(entry32)], eax
		o32 lgdt [AT(gdt_pointer)]
		mov	eax, cr0
		or	al, 1
		mov	cr0, eax
		o32 jmp far [AT(entry32)]

bits 32
trampoline_32:	mov	eax, 0x10
		mov	ds, eax
		mov	ss, eax
		mov	ebp, [esi + AT(trampoline_image)]
		mov	ebx, ap_start_image - KERNEL_BASE
		lea	eax, [ebp + boot_long_mode - KERNEL_BASE]
		jmp	eax

align 8
trampoline_gdt:	dq 0
		dq 0x00cf9b000000ffff		; 0x08: 32-bit code
		dq 0x00cf93000000ffff		; 0x10: data
gdt_pointer:	dw $ - trampoline_gdt - 1
		dd 0				; physical, filled in above
entry32:	dd 0				; the same
		dw 0x08
trampoline_image:
		dd 0			; where the image was loaded, filled in by the kernel
trampoline_end:

; In the image, so mapped in both tables: the low mapping goes with the boot tables.
section .text
bits 64
ap_start_image:	mov	rdi, [rel ap_cpu]
		mov	rsp, [rdi + CPU_KSTACK_TOP]
		xor	ebp, ebp		; ends the backtrace
		call	ap_main
