// Gives every file that is named on the command line to the fuzzer's check, once: for the compiler that has no fuzzer,
// and for the tests, which have no ten minutes.
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int count, char **arguments) {
  static uint8_t bytes[1 << 20];
  for (int i = 1; i < count; i++) {
    FILE *file = fopen(arguments[i], "rb");
    if (file == NULL) {
      perror(arguments[i]);
      return 1;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
  }
  printf("%s: %d inputs as expected\n", arguments[0], count - 1);
  return count == 1;
}
