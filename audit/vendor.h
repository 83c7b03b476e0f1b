/* audit_record and audit_report for each vendor's records. */
#pragma once

#include "audit/audit.h"

/*
 * Intel SDM 3, "Checks on Guest Control Registers, Debug Registers, and MSRs" to "Checks on Guest
 * Page-Directory-Pointer-Table Entries".
 */
const char *vmx_audit(const struct vcpu_record *r);
/* AMD APM 2, "VMRUN Instruction: Canonicalization and Consistency Checks". */
const char *svm_audit(const struct vcpu_record *r);

void vmx_report(const struct vcpu_record *r, bool refused, void (*say)(const char *line));
void svm_report(const struct vcpu_record *r, bool refused, void (*say)(const char *line));
/* Says what the audit finds. */
void audit_say(const char *broken, void (*say)(const char *line));
