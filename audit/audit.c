#include "audit/vendor.h"

#include "lib/fmt.h"

static const struct {
	const char *(*audit)(const struct vcpu_record *r);
	void (*report)(const struct vcpu_record *r, bool refused, void (*say)(const char *line));
} vendors[] = {
	[RECORD_SVM] = {svm_audit, svm_report},
	[RECORD_VMX] = {vmx_audit, vmx_report},
};

static bool known(const struct vcpu_record *r)
{
	return r->vendor < ARRAY_SIZE(vendors) && vendors[r->vendor].audit;
}

const char *audit_record(const struct vcpu_record *r)
{
	return known(r) ? vendors[r->vendor].audit(r) : "record: of neither vendor";
}

void audit_report(const struct vcpu_record *r, bool refused, void (*say)(const char *line))
{
	if (known(r))
		vendors[r->vendor].report(r, refused, say);
}

void audit_say(const char *broken, void (*say)(const char *line))
{
	char text[160];

	fmt_snprintf(text, sizeof(text), "entry refused: %s",
		     broken ? broken : "the audit finds nothing wrong");
	say(text);
}
