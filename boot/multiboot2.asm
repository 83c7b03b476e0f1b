; Multiboot2 entry: from 32-bit protected mode at any load address to boot_main in 64-bit mode.
; Multiboot2 Specification 2.0, "OS image format" and "Machine state".

%include "offsets.inc"

DIRECT_ENTRY	equ 256				; top-level entry of DIRECT_BASE (uapi/layout.h)
LOAD_BASE	equ 0x200000			; physical link address (linker.ld)
IMAGE_MAX	equ 16 << 20
COM1		equ 0x3f8
VGA_TEXT	equ 0xb8000
BOOT_STACK	equ 16384

MB2_HEADER_MAGIC equ 0xe85250d6

CR0_BOOT	equ 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1	; PG WP NE ET MP PE
CR4_BOOT	equ 1 << 5 | 1 << 7		; PAE PGE
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8
EFER_NXE	equ 1 << 11
PTE_P_W		equ 3
PTE_P_W_PS	equ 0x83

extern boot_main
global boot_entry, boot_long_mode, boot_pml4, boot_pd_image

%define IMG(sym) (sym - KERNEL_BASE)		; offset from the start of the image

section .boot progbits alloc exec nowrite align=8

; ---- The header ----------------------------------------------------------------------------------
align 8
header:		dd MB2_HEADER_MAGIC, 0, header_end - header
		dd -(MB2_HEADER_MAGIC + (header_end - header))
align 8						; entry address
		dw 3, 0
		dd 12
		dd LOAD_BASE + IMG(boot_entry)
align 8						; modules start on pages
		dw 6, 0
		dd 8
; relocatable: lowest and highest address, alignment, preference 1: as low as possible
align 8
		dw 10, 0
		dd 24
		dd LOAD_BASE, 0xffffffff, 0x200000, 1
align 8						; console: VGA text will do
		dw 4, 1
		dd 12, 2
; framebuffer, if there is one: any size, 32 bits a pixel
align 8
		dw 5, 1
		dd 20
		dd 0, 0, 32
align 8						; end
		dw 0, 0
		dd 8
header_end:

; ---- 32-bit entry: ebx = information; no stack is given ------------------------------------------
; No loader but one of multiboot2 finds this header: the magic number in eax says nothing more.
bits 32
boot_entry:	cli
		cld
		rdtsc
		mov	esi, eax		; edx:esi = time of entry
		lea	esp, [ebx + 8]		; borrows the "reserved" word of the information
		call	.here
.here:		pop	ebp
		sub	ebp, IMG(.here)		; ebp = where the image was loaded
		lea	esp, [ebp + IMG(boot_stack_top)]
		push	edx
		push	esi
		push	ebx

		mov	esi, IMG(msg_base)
		test	ebp, 0x1fffff
		jnz	refuse
		call	check_cpu		; edi = EFER
		mov	[ebp + IMG(boot_efer)], edi
		call	build_tables
		lea	eax, [ebp + IMG(gdt)]
		mov	[ebp + IMG(gdt_pointer32) + 2], eax
		lea	eax, [ebp + IMG(enter64)]
		mov	[ebp + IMG(entry64)], eax
		mov	ebx, IMG(upper)

; Every CPU's way, without paging until here, to 64-bit code at offset ebx in the image, where it is
; linked. ebp = where the image was loaded; esi, edi and esp stay, their upper halves are anything.
boot_long_mode:	lgdt	[ebp + IMG(gdt_pointer32)]
		mov	eax, CR4_BOOT
		mov	cr4, eax
		lea	eax, [ebp + IMG(boot_pml4)]
		mov	cr3, eax
		mov	ecx, MSR_EFER
		mov	eax, [ebp + IMG(boot_efer)]
		xor	edx, edx
		wrmsr
		mov	eax, CR0_BOOT
		mov	cr0, eax
		jmp	far [ebp + IMG(entry64)]
bits 64
enter64:	mov	ebx, ebx
		mov	rax, KERNEL_BASE
		add	rax, rbx
		jmp	rax

upper:		mov	esp, esp
		mov	edi, [rsp]		; first argument: the information
		mov	esi, ebp		; second: load address
		mov	rdx, [rsp + 4]		; third: time of entry
		mov	rsp, boot_stack_top	; the kernel's own GDT comes first of all in C
		xor	ebp, ebp		; ends the backtrace
		call	boot_main
		ud2

bits 32
; Long mode there? edi = EFER to load. Else refuses.
check_cpu:	mov	esi, IMG(msg_cpu)
		mov	eax, 0x80000000
		cpuid
		cmp	eax, 0x80000001
		jb	refuse
		mov	eax, 0x80000001
		cpuid
		bt	edx, 29			; long mode
		jnc	refuse
		mov	edi, EFER_LME
		bt	edx, 20			; no-execute
		jnc	.done
		or	edi, EFER_NXE
.done:		ret

; The low 4 GiB one to one and at DIRECT_BASE, and the image at KERNEL_BASE, in 2 MiB pages. The
; tables are zero.
build_tables:	lea	ebx, [ebp + IMG(boot_pml4)]
		lea	eax, [ebp + IMG(pdpt_low) + PTE_P_W]
		mov	[ebx], eax
		mov	[ebx + DIRECT_ENTRY * 8], eax
		lea	eax, [ebp + IMG(pdpt_high) + PTE_P_W]
		mov	[ebx + 511 * 8], eax
		lea	eax, [ebp + IMG(boot_pd_image) + PTE_P_W]
		mov	[ebp + IMG(pdpt_high) + 510 * 8], eax
		lea	eax, [ebp + IMG(pd_low) + PTE_P_W]
		xor	ecx, ecx
.pdpt:		mov	[ebp + IMG(pdpt_low) + ecx * 8], eax
		add	eax, 4096
		inc	ecx
		cmp	ecx, 4
		jb	.pdpt
		mov	eax, PTE_P_W_PS
		xor	ecx, ecx
.low:		mov	[ebp + IMG(pd_low) + ecx * 8], eax
		add	eax, 0x200000
		inc	ecx
		cmp	ecx, 4 * 512
		jb	.low
		lea	eax, [ebp + PTE_P_W_PS]
		xor	ecx, ecx
.image:		mov	[ebp + IMG(boot_pd_image) + ecx * 8], eax
		add	eax, 0x200000
		inc	ecx
		cmp	ecx, IMAGE_MAX >> 21
		jb	.image
		ret

; Says why (esi, offset in the image) on COM1, as the firmware left it, and on the VGA text screen;
; stops.
refuse:		add	esi, ebp
		mov	edi, VGA_TEXT
		mov	eax, 0x0f200f20		; blanks
		mov	ecx, 80 * 25 / 2
		rep stosd
		mov	edi, VGA_TEXT
.next:		movzx	ebx, byte [esi]
		inc	esi
		test	bl, bl
		jz	.halt
		mov	bh, 0x0f
		cmp	bl, ' '
		jb	.serial
		mov	[edi], bx
		add	edi, 2
.serial:	mov	ecx, 100000		; a port without UART is not waited for
.wait:		mov	edx, COM1 + 5
		in	al, dx
		test	al, 0x20
		loopz	.wait
		mov	edx, COM1
		mov	al, bl
		out	dx, al
		jmp	.next
.halt:		cli
		hlt
		jmp	.halt

msg_base:	db "refused: Caisson can't start here: the boot loader put the image at an address "
		db "that is not a multiple of 2 MiB; use GRUB 2.06 or newer", 13, 10, 0
msg_cpu:	db "refused: Caisson can't start here: this CPU has no 64-bit mode (long mode); "
		db "a CPU with VT-x or AMD-V is needed, in a virtual machine a 64-bit CPU model", 13, 10, 0

; ---- Data ----------------------------------------------------------------------------------------
section .data
align 8
gdt:		dq 0
		dq 0x00af9b000000ffff		; 0x08: 64-bit code
gdt_end:
gdt_pointer32:	dw gdt_end - gdt - 1
		dd 0				; physical, filled in above
entry64:	dd 0				; the same
		dw 0x08
boot_efer:	dd 0

section .bss.page_tables nobits alloc write noexec align=4096
boot_pml4:	resb 4096
pdpt_low:	resb 4096
pdpt_high:	resb 4096
boot_pd_image:	resb 4096
pd_low:		resb 4 * 4096

section .bss
align 16
		resb BOOT_STACK
boot_stack_top:
