#include "lowbit/base/json.h"

#include <set>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

constexpr int kMaxDepth = 64;

// Checks structure while the library parses: depth, and keys that repeat within one object.
class StrictBuilder : public nlohmann::detail::json_sax_dom_parser<Json> {
 public:
  using Base = nlohmann::detail::json_sax_dom_parser<Json>;
  StrictBuilder(Json& result, std::string_view origin) : Base(result, true), origin_(origin) {}

  bool start_object(std::size_t elements) {
    enter();
    keys_.emplace_back();
    return Base::start_object(elements);
  }
  bool end_object() {
    --depth_;
    keys_.pop_back();
    return Base::end_object();
  }
  bool start_array(std::size_t elements) {
    enter();
    return Base::start_array(elements);
  }
  bool end_array() {
    --depth_;
    return Base::end_array();
  }
  bool key(std::string& name) {
    if (!keys_.back().insert(name).second) fail(ErrorCode::kData, "{}: duplicate key '{}'", origin_, name);
    return Base::key(name);
  }

 private:
  void enter() {
    if (++depth_ > kMaxDepth) fail(ErrorCode::kData, "{}: more than {} nested levels", origin_, kMaxDepth);
  }
  std::string_view origin_;
  std::vector<std::set<std::string>> keys_;
  int depth_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view origin) {
  if (const auto position = find_invalid_utf8(text)) {
    fail(ErrorCode::kData, "{}: invalid UTF-8 at byte {}", origin, *position);
  }
  Json result;
  StrictBuilder builder(result, origin);
  try {
    Json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const Json::parse_error& problem) {
    fail(ErrorCode::kData, "{}: not valid JSON at byte {}", origin, problem.byte);
  } catch (const Json::exception& problem) {
    fail(ErrorCode::kData, "{}: not valid JSON: {}", origin, problem.what());
  }
  return result;
}

}  // namespace lowbit
