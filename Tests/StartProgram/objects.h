// Objects with constructors, of several files.
#include <cstdint>
#include <map>
#include <string>

/// A map with one entry, made by its constructor.
struct Object {
  std::map<std::string, uint64_t> entries;
  explicit Object(uint64_t value) { entries["value"] = value; }
  uint64_t value() const {
    auto found = entries.find("value");
    return found == entries.end() ? 0 : found->second;
  }
};

uint64_t object_before();
uint64_t object_behind();
uint64_t object_of_library();

/// A bit for each that was constructed.
inline uint64_t constructed_objects() { return object_before() | object_behind() | object_of_library(); }
