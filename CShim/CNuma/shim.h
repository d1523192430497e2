// libnuma as a Clang module; `numa_*` macros need this detour through C.
#include <numa.h>
#include <numaif.h>
