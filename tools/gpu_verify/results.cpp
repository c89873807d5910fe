#include "results.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <fstream>

#include "lowbit/base/error.h"

namespace lowbit::gpu_verify {

namespace {

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

}  // namespace

Record& Record::text(const std::string& key, const std::string& value) {
  fields_.emplace_back(key, quoted(value));
  return *this;
}
Record& Record::number(const std::string& key, double value) {
  fields_.emplace_back(key, std::isfinite(value) ? fmt::format("{:.9g}", value) : "null");
  return *this;
}
Record& Record::flag(const std::string& key, bool value) {
  fields_.emplace_back(key, value ? "true" : "false");
  return *this;
}

std::string Record::json() const {
  std::string result = "{";
  for (const auto& [key, value] : fields_) {
    if (result.size() > 1) result += ", ";
    result += quoted(key) + ": " + value;
  }
  return result + "}";
}

Results::Results(std::filesystem::path path) : path_(std::move(path)) {
  std::ofstream file(path_);
  if (!file) fail(ErrorCode::kIo, "cannot write '{}'; name a folder that exists with --out", path_.string());
}

void Results::write(const Record& record) {
  std::ofstream file(path_, std::ios::app);
  file << record.json() << '\n' << std::flush;
  if (!file) fail(ErrorCode::kIo, "cannot write '{}'; is the disk full?", path_.string());
  std::puts(record.json().c_str());
  std::fflush(stdout);
}

void Results::write_check(Record record, bool passed) {
  if (!passed) ++failures_;
  write(record.flag("pass", passed));
}

}  // namespace lowbit::gpu_verify
