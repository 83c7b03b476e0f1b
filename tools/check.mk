# `make check`: static checks; each is also a test, check/NAME.
.PHONY: check check-twins
check: kernel programs efi debug-kernel ## static checks; C=name: one of them
	@tools/check $(C)

check-twins: ## svm/ and vmx/ have the same files
	@tools/check twins

# clang takes a row that leaves out its last fields for a mistake; C makes them 0, and tables rely on it.
ifneq ($(findstring clang,$(CC)),)
COMMON_CHECK := -Wno-missing-field-initializers -Wno-initializer-overrides
R0_CFLAGS += $(COMMON_CHECK)
R3_CFLAGS += $(COMMON_CHECK)
GUEST_FLAGS += $(COMMON_CHECK)
endif

# gcc's analyzer. It knows no invariant, so what follows from one is suppressed here, file by file.
ifeq ($(ANALYZE),1)
R0_CFLAGS += -fanalyzer
R3_CFLAGS += -fanalyzer
# Where a first mapping was found in a range, the last one before its end exists too.
$(B)/ring0/mm/aspace.o: R0_CFLAGS += -Wno-analyzer-null-dereference
# An entry taken from a list that was just seen not to be empty.
$(B)/ring0/kernel/port.o: R0_CFLAGS += -Wno-analyzer-null-dereference
# The chunk of a handle that is on the free list exists.
$(B)/ring0/kernel/handle.o: R0_CFLAGS += -Wno-analyzer-null-dereference
# vm_handles() fills every handle: its loop and the callers' use have the same bound.
$(B)/ring3/services/manager/vms.o: R3_CFLAGS += -Wno-analyzer-use-of-uninitialized-value
# These programs fault on purpose.
$(B)/ring3/tests/ring3/%.o: R3_CFLAGS += -Wno-analyzer-null-dereference
endif
