#include "objects.h"

static Object object(1);

uint64_t object_before() { return object.value(); }
