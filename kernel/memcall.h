/* Memory objects as kernel objects, and the calls that map them. */
#pragma once

#include "kernel/object.h"

extern const struct object_ops mem_object_ops;
