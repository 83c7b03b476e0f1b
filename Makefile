# Caisson. `make help` lists the targets. Everything that is built lands in build/.
SHELL := /bin/bash
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:

B      := build
# Tools and tests ask here for the build folder.
export CAISSON_BUILD := $(abspath $(B))
CC     ?= gcc
ifeq ($(origin CC),default)
CC     := gcc
endif
NASM   := nasm
LD     := ld
OBJCOPY := objcopy
DEBUG  ?= 0
V      ?= 0
BENCH_BUILD ?= 0

# A line a file; V=1 shows the commands.
ifeq ($(V),1)
say =
else
say = @printf '  %-8s %s\n' $(1) $(2);
endif

WARN   := -Wall -Wextra -Werror -Wmissing-prototypes -Wstrict-prototypes -Wno-unused-parameter
# In GCC 12's pass "peephole2" an AND in front of a CMOV can get the wrong register as its operand.
OPTIMIZE := -O2 $(if $(findstring clang,$(CC)),,-fno-peephole2)
COMMON := -std=gnu11 $(OPTIMIZE) -g -I. -Iinclude -ffreestanding -fno-strict-aliasing -fno-stack-protector \
	  -fno-asynchronous-unwind-tables -fno-pic -fno-pie -mgeneral-regs-only -MMD -MP $(WARN)
ifeq ($(DEBUG),1)
COMMON += -DCAISSON_DEBUG
endif
ifeq ($(BENCH_BUILD),1)
COMMON += -DCAISSON_COUNT_SLOW
endif
R0_CFLAGS := $(COMMON) -mno-red-zone -mcmodel=kernel -fno-omit-frame-pointer -DRING0
# gcc optimizes the C of ring 0 as a whole: the way out of a guest and back goes through many files.
LTO ?= $(if $(findstring clang,$(CC))$(filter 1,$(ANALYZE)),,-flto=2 -flto-partition=one)
R3_CFLAGS := $(COMMON) -ffunction-sections -fdata-sections -DRING3

.PHONY: all help kernel programs clean
all: kernel programs efi

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort

# ---- Ring 0: every .c and .asm of these folders, and the freestanding library files named here ----
R0_DIRS := mm drivers/platform svm vmx kernel boot
R0_LIB  := lib/string.c lib/str_copy.c lib/fmt.c lib/ranges.c lib/rbtree.c
ifeq ($(DEBUG),1)
R0_DIRS += audit
R0_LIB  += lib/guest_rules.c
endif
R0_SRC  := $(foreach d,$(R0_DIRS),$(wildcard $(d)/*.c)) $(wildcard $(R0_LIB))
R0_SRC  := $(filter-out kernel/offsets.c boot/efi_% $(if $(filter 1,$(BENCH_BUILD)),,kernel/slow.c),$(R0_SRC))
R0_ASM  := $(foreach d,$(R0_DIRS),$(wildcard $(d)/*.asm))
R0_OBJ  := $(R0_SRC:%.c=$(B)/ring0/%.o) $(R0_ASM:%.asm=$(B)/ring0/%.asm.o)

$(B)/ring0/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(R0_CFLAGS) $(LTO) -c $< -o $@

# gcc puts a call of memcpy into a few moves by itself, where it does not take the loop from here instead.
$(B)/ring0/lib/string.o: LTO :=

# Structure offsets for assembly: kernel/offsets.c compiled to assembly text, its markers turned into %defines.
$(B)/ring0/offsets.inc: kernel/offsets.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(R0_CFLAGS) -MT $@ -S $< -o $(@:.inc=.s)
	@sed -nE 's/.*->([A-Z0-9_]+) \$$?(-?[0-9]+).*/%define \1 \2/p' $(@:.inc=.s) > $@

# nasm forgets included files where it writes the dependencies while it assembles (-MD, 2.16).
$(B)/ring0/%.asm.o: %.asm $(B)/ring0/offsets.inc
	@mkdir -p $(@D)
	@$(NASM) -I$(B)/ring0/ -I. -M -MP -MT $@ -MF $(@:.o=.d) $<
	$(call say,NASM,$@) $(NASM) -f elf64 -g -F dwarf -I$(B)/ring0/ -I. $< -o $@

# The screen's font, from its drawing.
R0_OBJ  += $(B)/ring0/font.o
$(B)/ring0/font.c: drivers/platform/font.txt tools/font.py
	@mkdir -p $(@D)
	@python3 tools/font.py $< > $@
$(B)/ring0/font.o: $(B)/ring0/font.c
	$(call say,CC,$@) $(CC) $(R0_CFLAGS) -c $< -o $@

# What is linked, for tools/deps.py. An object that is no longer has the kernel linked anew.
.PHONY: always
$(B)/ring0/objects: always
	@mkdir -p $(@D)
	@printf '%s\n' $(R0_OBJ:$(B)/%=%) | cmp -s - $@ || printf '%s\n' $(R0_OBJ:$(B)/%=%) > $@

# Linked twice: the second time with the symbol table for backtraces, made from the first. It moves no code.
ifeq ($(LTO),)
R0_LINK = $(LD) -nostdlib -z max-page-size=0x1000 -z noexecstack --build-id=none -T linker.ld $(R0_OBJ)
else
R0_LINK = $(CC) $(R0_CFLAGS) $(LTO) -nostdlib -static -no-pie -Wl,-z,max-page-size=0x1000,-z,noexecstack,--build-id=none \
	  -T linker.ld $(R0_OBJ)
endif
define link-with-table
@python3 tools/symtab.py $(1) > $(B)/ring0/symtab.c
$(call say,CC,$@) $(CC) $(R0_CFLAGS) -c $(B)/ring0/symtab.c -o $(B)/ring0/symtab.o
$(call say,LD,$@) $(R0_LINK) $(B)/ring0/symtab.o -o $(2)
endef
kernel: $(B)/kernel.elf ## the ring-0 ELF
$(B)/kernel.elf: $(R0_OBJ) $(B)/ring0/objects linker.ld tools/symtab.py
	$(call link-with-table,,$@.1)
	$(call link-with-table,$@.1,$@)
	@python3 tools/symtab.py $@ | cmp - $(B)/ring0/symtab.c || { rm $@; exit 1; }

# ---- Ring 3: one flat image a program ----
R3_LIB_SRC := $(filter-out lib/insn_decode.c,$(wildcard lib/*.c)) $(wildcard user/*.c)
R3_LIB_ASM := $(wildcard user/*.asm)
PROGRAMS   := init manager vmm
init_SRC    := $(wildcard services/init/*.c services/common/*.c)
manager_SRC := $(wildcard services/manager/*.c services/common/*.c)
vmm_SRC     := $(wildcard vmm/*.c guest-loader/*.c audit/*.c)
TEST_PROGRAMS := stress wild numa destroy chaos irqs calls reply
stress_SRC  := $(wildcard tests/ring3/stress*.c) tests/ring3/self.c vmm/cpu_reset.c
wild_SRC    := tests/ring3/wild.c vmm/console.c vmm/cpu_reset.c $(wildcard audit/*.c)
numa_SRC    := tests/ring3/numa.c
destroy_SRC := tests/ring3/destroy.c tests/ring3/self.c vmm/cpu_reset.c
irqs_SRC    := tests/ring3/irqs.c tests/ring3/self.c vmm/cpu_reset.c
reply_SRC   := tests/ring3/reply.c tests/ring3/self.c vmm/cpu_reset.c
calls_SRC   := tests/ring3/calls.c tests/ring3/self.c
chaos_SRC   := tests/ring3/chaos.c tests/ring3/self.c $(filter-out services/init/main.c,$(init_SRC))

$(B)/ring3/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(R3_CFLAGS) -c $< -o $@

$(B)/ring3/%.asm.o: %.asm
	@mkdir -p $(@D)
	$(call say,NASM,$@) $(NASM) -f elf64 -g -F dwarf -I. $< -o $@

# ACPI tables of the guest platform: ASL through iasl, AML into C arrays.
VMM_ACPI := $(patsubst vmm/acpi/%.asl,$(B)/ring3/vmm/acpi/%.o,$(wildcard vmm/acpi/*.asl))
$(B)/ring3/vmm/acpi/%.o: vmm/acpi/%.asl
	@mkdir -p $(@D)
	$(CC) -E -P -undef -x c $< -o $(@:.o=.pre.asl)
	iasl -vs -p $(@:.o=) $(@:.o=.pre.asl) > $(@:.o=.log) 2>&1 || { cat $(@:.o=.log); exit 1; }
	cd $(@D) && printf 'global acpi_%s, acpi_%s_end\nsection .rodata\nacpi_%s: incbin "%s"\nacpi_%s_end:\nsection .note.GNU-stack\n' $* $* $* $*.aml $* > $*.gen.asm && $(NASM) -f elf64 $*.gen.asm -o $*.o

define program
$(1)_OBJ := $$($(1)_SRC:%.c=$(B)/ring3/%.o) $$(R3_LIB_SRC:%.c=$(B)/ring3/%.o) $$(R3_LIB_ASM:%.asm=$(B)/ring3/%.asm.o)
ifeq ($(1),vmm)
vmm_OBJ += $$(VMM_ACPI) $(B)/ring3/lib/insn_decode.o
endif
$(B)/$(1).elf: $$($(1)_OBJ) user/program.ld
	$$(call say,LD,$$@) $(LD) -nostdlib --gc-sections -z max-page-size=0x1000 -z noexecstack --build-id=none -T user/program.ld $$($(1)_OBJ) -o $$@
$(B)/programs/$(1): $(B)/$(1).elf
	@mkdir -p $$(@D)
	$$(call say,OBJCOPY,$$@) $(OBJCOPY) -O binary $$< $$@
endef
$(foreach p,$(PROGRAMS) $(TEST_PROGRAMS),$(eval $(call program,$(p))))

programs: $(B)/programs.cpio $(TEST_PROGRAMS:%=$(B)/programs/%) ## init and the archive of the other ring-3 programs
$(B)/programs.cpio: $(PROGRAMS:%=$(B)/programs/%)
	@cd $(B)/programs && printf '%s\n' $(filter-out init,$(PROGRAMS)) | cpio --quiet -o -H newc -R 0:0 > ../programs.cpio

# ---- Host unit tests: tests/host/test_NAME.c, whose first lines name what it is linked with:
#      // SOURCES: mm/pt.c lib/rbtree.c      // LIBS: -lZydis
HOST_TESTS := $(patsubst tests/host/test_%.c,%,$(wildcard tests/host/test_*.c))
HOST_CFLAGS := -std=gnu11 -O1 -g -I. -Iinclude -Itests/host -fsanitize=address,undefined -fno-sanitize-recover=all \
	       -fno-omit-frame-pointer -Wall -Wextra -Werror -Wno-unused-parameter -DHOST_TEST -fno-builtin
# Whatever a host test or a fuzzer may be linked with or include.
HOST_DIRS := lib mm svm vmx audit vmm guest-loader kernel drivers/platform services services/* user boot boot/efi
HOST_CODE := $(wildcard $(HOST_DIRS:%=%/*.[ch]) include/*/*.h tests/host/*.h)
host-tests: $(HOST_TESTS:%=$(B)/host/test_%) ## builds the host unit tests
$(B)/host/test_%: tests/host/test_%.c $(HOST_CODE)
	@mkdir -p $(@D)
	$(call say,CC,$@) $(CC) $(HOST_CFLAGS) $< $$(sed -nE 's,^// SOURCES: *,,p' $<) $$(sed -nE 's,^// CFLAGS: *,,p' $<) -o $@ -lcmocka $$(sed -nE 's,^// LIBS: *,,p' $<)

clean: ## removes build/
	rm -rf $(B)

-include $(wildcard tools/*.mk)
-include $(shell find $(B) -type f -name '*.d' 2>/dev/null)
