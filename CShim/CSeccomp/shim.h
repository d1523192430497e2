// libseccomp as a Clang module; the engine uses it when the package trait `Sandbox` is on.
#include <seccomp.h>
