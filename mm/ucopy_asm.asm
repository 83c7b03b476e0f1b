; ucopy_words(rdi = destination, rsi = source, rdx = bytes): 0, or what the fault handler put into
; rax. The handler continues at ucopy_fault with the stack as it was at the faulting instruction.
section .text

global ucopy_words
global ucopy_fault

ucopy_words:
	mov	rcx, rdx
	shr	rcx, 3
	rep	movsq
	mov	ecx, edx
	and	ecx, 7
	rep	movsb
	xor	eax, eax
ucopy_fault:
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
