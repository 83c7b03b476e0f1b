#include "hv/slow_count.h"

bool slow_counting;
