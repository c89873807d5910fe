#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lowbit/base/files.h"
#include "lowbit/base/json.h"
#include "lowbit/text/tokenizer.h"
#include "support/source_folder.h"

namespace lowbit::testing {

inline std::filesystem::path golden_folder() {
  return testing::source_folder() / "tests" / "golden" / "text";
}

inline const Json& golden(const std::string& name) {
  static std::map<std::string, Json> files;
  auto& file = files[name];
  if (file.is_null()) file = parse_json(read_file(golden_folder() / name), name);
  return file;
}

/// The ids of a text alone: nothing added around it.
inline std::vector<TokenId> ids_of(const Tokenizer& tokenizer, std::string_view text, bool parse_special = true) {
  return tokenizer.encode(text, {false, parse_special});
}

}  // namespace lowbit::testing
