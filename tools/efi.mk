# The UEFI application, outside of ring 0: boot/efi and a few files of lib, as a PE image by gnu-efi.
EFI_INC    := /usr/include/efi
EFI_CFLAGS := -std=gnu11 $(OPTIMIZE) -g -I. -Iinclude -isystem $(EFI_INC) -isystem $(EFI_INC)/x86_64 -ffreestanding -fpic \
	      -fshort-wchar -fno-strict-aliasing -fno-stack-protector -fno-asynchronous-unwind-tables -mno-red-zone \
	      -mgeneral-regs-only -MMD -MP $(WARN)
EFI_SRC    := $(wildcard boot/efi/*.c) lib/fmt.c lib/string.c lib/str_copy.c lib/memmove.c
EFI_OBJ    := $(EFI_SRC:%.c=$(B)/efi/%.o) $(B)/efi/boot/efi/handoff.asm.o

$(B)/efi/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(EFI_CFLAGS) -c $< -o $@

$(B)/efi/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM,$@) $(NASM) -f elf64 $< -o $@

efi: $(B)/bootx64.efi ## the UEFI application, for images of --efi=direct
$(B)/bootx64.efi: $(EFI_OBJ)
	$(call say,LD,$@) $(LD) -nostdlib -shared -Bsymbolic -z noexecstack --no-undefined -T /usr/lib/elf_x86_64_efi.lds \
		/usr/lib/crt0-efi-x86_64.o $(EFI_OBJ) -L/usr/lib -lgnuefi -o $@.so
	@$(OBJCOPY) -j .text -j .data -j .dynamic -j .dynsym -j '.rel*' -j .reloc --target efi-app-x86_64 $@.so $@

.PHONY: efi
