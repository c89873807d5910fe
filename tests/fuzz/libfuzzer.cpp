// What a target needs besides libFuzzer: the way to its seeds, and a start that is not timed.
#include <cstdlib>
#include <string_view>

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int* count, char*** values) {
  if (*count == 3 && std::string_view((*values)[1]) == "--write-seeds") {
    lowbit::fuzzing::write_seeds((*values)[2]);
    std::exit(0);
  }
  (void)lowbit::fuzzing::target();  // made before inputs are timed
  return 0;
}
