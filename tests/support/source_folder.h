#pragma once

#include <filesystem>

namespace lowbit::testing {

/// The checkout that the tests were built from. A function rather than a macro on every test's command line, so that
/// objects do not differ from one checkout to the next.
[[nodiscard]] std::filesystem::path source_folder();

}  // namespace lowbit::testing
