#include "objects.h"

static Object object(2);

uint64_t object_behind() { return object.value(); }
