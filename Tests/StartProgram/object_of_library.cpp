#include "objects.h"

static Object object(4);

uint64_t object_of_library() { return object.value(); }
