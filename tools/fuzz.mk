# Fuzzers: tests/fuzz/fuzz_NAME.c, whose first lines name what it is linked with, as a host test's do, and
#      // MAX_LEN: 4096      (bytes of an input; or a file NAME.dict beside it for libFuzzer's -dict)
.PHONY: fuzz fuzzers proofs
FUZZ_CC := clang
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_CFLAGS := -std=gnu11 -O1 -g -I. -Iinclude -Itests/host -fsanitize=fuzzer,address,undefined \
	       -fno-sanitize-recover=all -fno-omit-frame-pointer -Wall -Wextra -Wno-unused-parameter \
	       -Wno-initializer-overrides -Wno-missing-field-initializers -DHOST_TEST -fno-builtin
fuzzers: $(FUZZ_TARGETS:%=$(B)/fuzz/fuzz_%) ## builds the fuzzers
# A target's own CFLAGS come first: its stand-ins for headers are found before the real ones.
$(B)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(wildcard tests/fuzz/*.h tests/fuzz/*/*.h) $(HOST_CODE)
	@mkdir -p $(@D)
	$(call say,FUZZCC,$@) $(FUZZ_CC) $$(sed -nE 's,^// CFLAGS: *,,p' $<) $(FUZZ_CFLAGS) $< $$(sed -nE 's,^// SOURCES: *,,p' $<) -o $@ -lcmocka $$(sed -nE 's,^// LIBS: *,,p' $<)

fuzz: ## fuzzers for FUZZ_SECONDS=60 each; F=name: one; INPUT=file: runs that input only
	@tests/fuzz/run.py --seconds $(or $(FUZZ_SECONDS),60) $(if $(INPUT),--input $(INPUT),--keep) $(F)

proofs: ## bounded proofs with CBMC; P=name: one; SKIP where it is not installed
	@tests/proofs/run.py $(P)
