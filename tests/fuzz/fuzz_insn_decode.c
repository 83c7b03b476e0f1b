// SOURCES: lib/insn_decode.c vmm/insn_forms.c kernel/exit_insn.c tests/host/insn_kinds.c
// LIBS: -lZydis
// MAX_LEN: 20
/* insn_decode against Zydis, and against itself on input cut short. */
#include "tests/fuzz/fuzz.h"

#include "tests/host/insn_reference.h"

static bool decode_exact(const u8 *b, u32 n, enum insn_mode mode, insn_form_fn form_of,
			 struct insn *out)
{
	u8 *exact = fuzz_exact(b, n);
	bool ok = insn_decode(exact, n, mode, form_of, out);

	free(exact);
	return ok;
}

/* Never accepted from fewer bytes than its length; the same whatever follows. */
static void check_cuts(const u8 *b, u32 n, enum insn_mode mode, insn_form_fn form_of,
		       const struct insn *whole)
{
	struct insn cut;

	for (u32 k = 0; k <= n; k++) {
		bool ok = decode_exact(b, k, mode, form_of, &cut);

		FUZZ_CHECK(ok == (k >= whole->length), "length %u, cut to %u: %d", whole->length, k,
			   ok);
		FUZZ_CHECK(!ok || !memcmp(&cut, whole, sizeof(cut)),
			   "another instruction when cut to %u", k);
	}
}

static void check(const struct fuzz_input *f, u32 m, u32 caller)
{
	u32 left = (u32)f->left;
	struct reference r = {0};
	struct insn in = {0};
	bool ours = decode_exact(f->at, left, reference_modes[m], insn_forms[caller], &in),
	     theirs = reference_decode(m, f->at, MIN(left, INSN_MAX), &r);
	const char *what = reference_differs(!caller, caller, &in, ours, &r, theirs);

	FUZZ_CHECK(!what, "%s of %s in mode %d: ours %u, Zydis %u", what,
		   ZydisMnemonicGetString(r.in.mnemonic), reference_modes[m], ours ? in.length : 0,
		   r.in.length);
	FUZZ_CHECK(!ours || (in.length && in.length <= MIN(left, INSN_MAX)), "length %u of %u",
		   in.length, left);
	if (ours)
		check_cuts(f->at, left, reference_modes[m], insn_forms[caller], &in);
}

static void check_exit(const struct fuzz_input *f)
{
	u32 n = (u32)MIN(f->left, EXIT_INSN_MAX);
	u8 *exact = fuzz_exact(f->at, n);
	const char *what = reference_differs_at_exit(exact, n);

	FUZZ_CHECK(!what, "%s", what);
	free(exact);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t n)
{
	static bool ready;
	struct fuzz_input f = {data, n};
	u32 m = fuzz_u8(&f) % 3;

	if (!ready)
		reference_init();
	ready = true;
	check(&f, m, 0);
	check(&f, m, 1);
	check_exit(&f);
	return 0;
}
