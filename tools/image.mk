# Boot images, the Linux guest, and running them.
CPUS  ?= 2
MEM   ?= 2G
GUEST := $(B)/guest
QEMU  ?= qemu-system-x86_64
comma := ,

.PHONY: setup guest image run
setup: ## installs what is missing (asks first)
	@tools/setup

$(GUEST)/vmlinuz $(GUEST)/busybox &:
	tools/setup

$(GUEST)/port-write: tools/guest/port-write.asm
	@mkdir -p $(@D)
	$(NASM) -f elf64 $< -o $@.o
	$(LD) -s $@.o -o $@

$(GUEST)/initrd.gz: $(GUEST)/vmlinuz $(GUEST)/busybox $(GUEST)/port-write tools/guest-initrd $(wildcard tools/guest/* tests/boot/guest/*)
	tools/guest-initrd -o $@ --package $(GUEST)/package --busybox $(GUEST)/busybox --port-write $(GUEST)/port-write

guest: $(GUEST)/vmlinuz $(GUEST)/initrd.gz ## the Linux guest's kernel and initramfs

image: $(B)/caisson.iso ## the boot image that `make run` starts
$(B)/caisson.iso: $(B)/kernel.elf $(B)/programs.cpio $(GUEST)/vmlinuz $(GUEST)/initrd.gz examples/linux.vm tools/mkimage tools/grub.py
	tools/mkimage -o $@ --module linux=$(GUEST)/vmlinuz --module initrd=$(GUEST)/initrd.gz --vm examples/linux.vm

quote = '$(subst ','\'',$(1))'# one word of the shell's

ifneq ($(filter run,$(MAKECMDGOALS)),)
# allowed NAME,VALUES: the variable has one of them, or none
allowed = $(if $(filter-out $(2),$($(1))),$(error $(1)=$($(1)): expected one of: $(2)))
$(call allowed,UEFI,0 1)
$(call allowed,ENGINE,qemu bochs)
$(call allowed,ACCEL,tcg kvm)
ifeq ($(UEFI)$(ENGINE),1bochs)
$(error UEFI=1: Bochs starts a BIOS only)
endif
ifneq ($(UEFI),1)
# an ISO 9660 volume says CD001 there, whatever it is called
$(if $(filter %.img,$(IMAGE)),$(if $(filter CD001,$(shell dd if=$(call quote,$(IMAGE)) bs=1 skip=32769 count=5 2>/dev/null)),,$(error \
	IMAGE=$(IMAGE): no image of a CD: a disk image starts under UEFI only: add UEFI=1)))
endif
endif

# How QEMU gets the image: a CD under BIOS, or with UEFI=1 a disk under OVMF. A comma in its name is doubled for QEMU.
FILE = file=$(call quote,$(subst $(comma),$(comma)$(comma),$(or $(IMAGE),$(B)/caisson.iso)))
OVMF := /usr/share/OVMF
ifeq ($(UEFI),1)
MEDIUM = -drive if=pflash,format=raw,unit=0,readonly=on,file=$(OVMF)/OVMF_CODE_4M.fd \
	 -drive if=pflash,format=raw,unit=1,snapshot=on,file=$(OVMF)/OVMF_VARS_4M.fd \
	 -drive if=none,id=image,format=raw,snapshot=on,$(FILE) -device virtio-blk-pci,drive=image,bootindex=1
else
MEDIUM = -drive $(FILE),format=raw,media=cdrom,readonly=on -boot d
endif

# ^C and ^] go to Caisson; `poweroff` at its prompt ends the emulator.
run: ## starts IMAGE (default: one Linux guest) in QEMU; CPUS= MEM= UEFI=1 QEMU_ARGS= ACCEL=kvm, or in Bochs: ENGINE=bochs
	@tools/setup
	@$(if $(IMAGE),,$(MAKE) --no-print-directory image)
ifeq ($(ENGINE),bochs)
	@tools/run-bochs --cpus $(CPUS) $(if $(IMAGE),$(call quote,$(IMAGE)))
else
	$(QEMU) -accel $(if $(filter kvm,$(ACCEL)),kvm -cpu host,tcg$(comma)thread=multi -cpu max$(comma)+svm) \
		-machine q35 -smp $(CPUS) -m $(MEM) \
		-display none -monitor none -no-reboot \
		-chardev stdio,id=com1,signal=off -serial chardev:com1 \
		-device isa-debug-exit,iobase=0xf4,iosize=4 \
		$(MEDIUM) $(QEMU_ARGS)
endif
