// A program that knows nothing of pools and loads the file that its argument names, as a test runner does.
#include <cstdio>
#include <dlfcn.h>

int main(int, char **arguments) {
  void *library = dlopen(arguments[1], RTLD_NOW);
  auto use_pool = library == nullptr ? nullptr : reinterpret_cast<int (*)()>(dlsym(library, "use_pool"));
  if (use_pool != nullptr) return use_pool();
  puts(dlerror());
  return 1;
}
