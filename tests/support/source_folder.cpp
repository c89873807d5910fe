#include "support/source_folder.h"

namespace lowbit::testing {

std::filesystem::path source_folder() { return LOWBIT_SOURCE_DIR; }

}  // namespace lowbit::testing
