/* The system object: console, log, host information, power. One exists; init gets it. */
#pragma once

#include "kernel/object.h"

extern struct object system_object;
void sysctl_init(void);
