# Tiny guests: tests/guest/NAME.c, and NAME.asm beside it when there is one. "// MODE: 32" in the first
# lines: 32-bit code without paging; else long mode. Every guest is an ELF32 container that a multiboot-1
# loader takes. A folder tests/guest/NAME is a guest of several files, which only scenes start.
GUEST_LIB_C   := $(wildcard tests/guest/lib/*.c)
GUEST_LIB_ASM := $(wildcard tests/guest/lib/*.asm)
GUEST_LIB_INC := $(wildcard tests/guest/lib/*.inc)
TINY_GUESTS   := $(basename $(notdir $(wildcard tests/guest/*.c)))
BENCH_GUESTS  := $(basename $(notdir $(wildcard tests/bench/*.c)))
SCENE_GUESTS  := $(filter-out lib,$(notdir $(patsubst %/,%,$(wildcard tests/guest/*/))))
GUEST_FLAGS   := -std=gnu11 -O1 -g -Itests/guest/lib -ffreestanding -fno-pic -fno-pie -fno-stack-protector \
		 -fno-asynchronous-unwind-tables -fno-strict-aliasing -fcf-protection=none -mgeneral-regs-only \
		 -mno-red-zone -Wall -Wextra -Werror -Wno-unused-parameter -MMD -MP

.PHONY: guests
guests: $(patsubst %,$(B)/guests/%.elf,$(TINY_GUESTS) $(BENCH_GUESTS) $(SCENE_GUESTS)) ## the tiny guests

# guest-objects NAME BITS: objects of a guest
guest-objects = $(GUEST_LIB_C:%.c=$(B)/guests/$(2)/%.o) $(GUEST_LIB_ASM:%.asm=$(B)/guests/$(2)/%.asm.o) \
	$(patsubst %.c,$(B)/guests/$(2)/%.o,$(wildcard tests/guest/$(1).c tests/bench/$(1).c tests/guest/$(1)/*.c)) \
	$(patsubst %.asm,$(B)/guests/$(2)/%.asm.o,$(wildcard tests/guest/$(1).asm tests/bench/$(1).asm tests/guest/$(1)/*.asm))

$(B)/guests/32/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -m32 -c $< -o $@
$(B)/guests/64/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) -m64 -c $< -o $@
$(B)/guests/32/%.asm.o: %.asm $(GUEST_LIB_INC)
	@mkdir -p $(@D)
	$(NASM) -f elf32 -g -F dwarf -I. $< -o $@
$(B)/guests/64/%.asm.o: %.asm $(GUEST_LIB_INC)
	@mkdir -p $(@D)
	$(NASM) -f elf64 -DLONG -g -F dwarf -I. $< -o $@

define tiny-guest
$(1)_BITS := $$(if $$(shell grep -l '^// MODE: 32' tests/guest/$(1).c tests/bench/$(1).c 2>/dev/null),32,64)
$(B)/guests/$(1).elf: $$(call guest-objects,$(1),$$($(1)_BITS)) tests/guest/lib/guest.ld
	$(LD) -nostdlib -m $$(if $$(filter 32,$$($(1)_BITS)),elf_i386,elf_x86_64) -z max-page-size=0x1000 -z noexecstack \
		--no-warn-rwx-segments --build-id=none -T tests/guest/lib/guest.ld $$(filter %.o,$$^) -o $$@.full
	$(OBJCOPY) --strip-all -O elf32-i386 $$@.full $$@
endef
$(foreach g,$(TINY_GUESTS) $(BENCH_GUESTS) $(SCENE_GUESTS),$(eval $(call tiny-guest,$(g))))
