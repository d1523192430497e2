#include "wp_constructors.h"

#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/// Of a static program, which may have nothing that tells where its array is. The linker defines them.
extern wp_constructor *__init_array_start[] __attribute__((weak, visibility("hidden")));
extern wp_constructor *__init_array_end[] __attribute__((weak, visibility("hidden")));

// MARK: Objects

/// A loaded object. `place` is where it stands in the loader's list: the program is the first, and what an object needs comes
/// behind the first object that needs it.
typedef struct wp_object {
  size_t place;
  ElfW(Addr) base;
  const char *path;
  const ElfW(Dyn) *dynamic;
} wp_object;

/// The value of an entry, 0 when there is none.
static ElfW(Xword) value_of(const wp_object *object, ElfW(Sxword) tag) {
  for (const ElfW(Dyn) *entry = object->dynamic; entry != NULL && entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == tag) return entry->d_un.d_val;
  }
  return 0;
}

/// The table in which an object's names stand. The loader writes the address where the file has a distance, if it may.
static const char *names_of(const wp_object *object) {
  ElfW(Addr) table = (ElfW(Addr))value_of(object, DT_STRTAB);
  if (table == 0) return NULL;
  return (const char *)(table < object->base ? object->base + table : table);
}

/// The name by which others need the object.
static const char *name_of(const wp_object *object) {
  ElfW(Xword) soname = value_of(object, DT_SONAME);
  const char *names = names_of(object);
  if (soname != 0 && names != NULL) return names + soname;
  const char *slash = strrchr(object->path, '/');
  return slash == NULL ? object->path : slash + 1;
}

static bool needs(const wp_object *object, const char *name) {
  const char *names = names_of(object);
  for (const ElfW(Dyn) *entry = object->dynamic; names != NULL && entry != NULL && entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag != DT_NEEDED) continue;
    const char *needed = names + entry->d_un.d_val;
    const char *slash = strrchr(needed, '/');
    if (strcmp(needed, name) == 0 || (slash != NULL && strcmp(slash + 1, name) == 0)) return true;
  }
  return false;
}

/// What is looked for, and what was found.
typedef struct wp_object_search {
  size_t place;
  ElfW(Addr) holds;     // an address in the object, or 0
  const wp_object *by;  // the object that it needs
  wp_object found;
  bool has_found;
} wp_object_search;

static bool holds(const struct dl_phdr_info *info, ElfW(Addr) address) {
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type == PT_LOAD && address - info->dlpi_addr - part->p_vaddr < part->p_memsz) return true;
  }
  return false;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *argument) {
  (void)size;
  wp_object_search *search = (wp_object_search *)argument;
  wp_object object = {search->place++, info->dlpi_addr, info->dlpi_name == NULL ? "" : info->dlpi_name, NULL};
  for (size_t i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    if (part->p_type == PT_DYNAMIC) object.dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + part->p_vaddr);
  }
  if (search->by == NULL) search->has_found = holds(info, search->holds);
  else if (object.place >= search->by->place) return 1;
  else search->has_found = needs(&object, name_of(search->by));
  if (search->has_found) search->found = object;
  return search->has_found;
}

static bool find_holder(const void *address, wp_object *found) {
  wp_object_search search;
  memset(&search, 0, sizeof search);
  search.holds = (ElfW(Addr))address;
  dl_iterate_phdr(look_at, &search);
  *found = search.found;
  return search.has_found;
}

/// The first object that needs this one. It stands before it, so whoever asks again and again comes to an end.
static bool find_user(const wp_object *object, wp_object *found) {
  wp_object_search search;
  memset(&search, 0, sizeof search);
  search.by = object;
  dl_iterate_phdr(look_at, &search);
  *found = search.found;
  return search.has_found;
}

// MARK: Their constructors

typedef struct wp_constructors {
  wp_constructor **entries;
  size_t count;
} wp_constructors;

static wp_constructors constructors_of(const wp_object *object) {
  size_t bytes = (size_t)value_of(object, DT_INIT_ARRAYSZ);
  if (object->dynamic != NULL) {
    return (wp_constructors){(wp_constructor **)(object->base + (ElfW(Addr))value_of(object, DT_INIT_ARRAY)),
                             bytes / sizeof(wp_constructor *)};
  }
  if (__init_array_start == NULL) return (wp_constructors){NULL, 0};
  return (wp_constructors){__init_array_start, (size_t)(__init_array_end - __init_array_start)};
}

/// What stands behind the last constructor, and that one, of the object that was asked for.
static wp_constructor *behind_last;
static wp_constructor *the_last;

static void call_last(int count, char **arguments, char **environment) {
  the_last(count, arguments, environment);
  behind_last(count, arguments, environment);
}

/// Puts `call_last` in the last one's place. The array is written to by the loader alone, and protected since.
static bool stand_behind(const wp_constructors *all, wp_constructor *last) {
  wp_constructor **entry = &all->entries[all->count - 1];
  uintptr_t page = (uintptr_t)entry & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);
  size_t length = (uintptr_t)(entry + 1) - page;
  if (mprotect((void *)page, length, PROT_READ | PROT_WRITE) != 0) return false;
  the_last = *entry;
  behind_last = last;
  *entry = call_last;
  return true;
}

static void call_behind(const wp_constructors *all, wp_constructor *self, int count, char **arguments,
                        char **environment) {
  size_t place = 0;
  while (place < all->count && all->entries[place] != self) place++;
  for (size_t i = place + 1; i < all->count; i++) all->entries[i](count, arguments, environment);
}

bool wp_after_constructors(wp_constructor *self, int count, char **arguments, char **environment, wp_constructor *last) {
  wp_object own, top, user;
  memset(&own, 0, sizeof own);
  if (find_holder((const void *)(uintptr_t)self, &own)) {
    top = own;
    while (find_user(&top, &user)) top = user;
    wp_constructors all = constructors_of(&top);
    if (top.place != own.place && all.count > 0) return stand_behind(&all, last);
  }
  wp_constructors all = constructors_of(&own);
  call_behind(&all, self, count, arguments, environment);
  last(count, arguments, environment);
  return true;
}
