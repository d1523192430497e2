// malloc_trim, which the module of glibc leaves out.
#include <malloc.h>
