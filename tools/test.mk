# Tests and figures. `make test T=name` runs one test, or all whose name contains it.
.PHONY: test test-quick bench tcb check-deps
TEST_PARTS := $(B)/kernel.elf $(B)/programs.cpio

test: ## all tests; T=name: one of them
	@tools/setup
	@$(MAKE) --no-print-directory -j2 test-parts
	@tests/run.py $(T)

test-quick: ## those of daily work, in less than 5 minutes
	@tools/setup
	@$(MAKE) --no-print-directory -j2 kernel programs guests guest check-deps
	@tests/run.py --quick

.PHONY: test-parts debug-kernel
test-parts: kernel efi debug-kernel programs guests guest check-deps

debug-kernel: ## the kernel with DEBUG=1, in build/debug/
	@$(MAKE) --no-print-directory B=$(B)/debug DEBUG=1 kernel

bench: ## figures, instructions counted by QEMU and Bochs: bench NAME VALUE UNIT goal GOAL
	@tools/setup
	@$(MAKE) --no-print-directory -j2 kernel programs guests guest
	@tests/bench/run.py

tcb: $(B)/kernel.elf ## lines of code in ring 0, per folder
	@tools/tcb

check-deps: kernel programs efi debug-kernel ## include files cross the folders in the allowed direction only
	@tools/check-deps
