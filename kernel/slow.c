#include "hv/slow.h"

#ifdef CAISSON_COUNT_SLOW
bool slow_counting;
#endif
