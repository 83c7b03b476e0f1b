/* Starts init, the root task: the flat image that is the module named "init". */
#pragma once

#include "hv/bootinfo.h"

/* Panics with what is missing or wrong: without init there is nothing to run. */
void init_load(const struct bootinfo *b);
