/*
 * What a person reads when a vCPU can't go on: the control block of either vendor with names, and
 * the rule of the manual that it breaks. Pure: the monitor's, and the debug kernel's before each
 * entry.
 */
#pragma once

#include "uapi/run.h"

/* NULL: the CPU accepts it; else "field: rule" of the first that it refuses. */
const char *audit_record(const struct vcpu_record *r);

/*
 * All of the record, a line at a time; a word without a line is 0. refused (RUN_INTERNAL_ENTRY):
 * first why the CPU did not enter.
 */
void audit_report(const struct vcpu_record *r, bool refused, void (*say)(const char *line));
