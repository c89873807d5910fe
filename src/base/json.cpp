#include "lowbit/base/json.h"

#include <unordered_set>
#include <utility>
#include <vector>

#include "lowbit/base/error.h"
#include "lowbit/base/utf8.h"

namespace lowbit {
namespace {

constexpr int kMaxDepth = 64;

// Builds the document and checks depth and repeated keys on the way. The library's own builder looks through all the
// members of an ordered object for each new one, which takes a minute for a vocabulary of 150000 tokens.
class StrictBuilder {
 public:
  StrictBuilder(Json& root, std::string_view origin) : root_(root), origin_(origin) {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(Json::number_integer_t value) { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(Json::binary_t&) { return false; }  // cannot occur in text

  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    if (!open_.back().keys.insert(name).second) fail(ErrorCode::kData, "{}: duplicate key '{}'", origin_, name);
    open_.back().key = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    fail(ErrorCode::kData, "{}: not valid JSON at byte {}", origin_, position);
  }

 private:
  // A container that is not finished; pointers stay valid, since its parent does not grow meanwhile.
  struct Open {
    Json* value;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  Json* place(Json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    auto& members = parent.get_ref<Json::object_t&>();
    return &static_cast<Json::object_t::Container&>(members)
                .emplace_back(std::move(open_.back().key), std::move(value))
                .second;
  }
  bool add(Json&& value) {
    place(std::move(value));
    return true;
  }
  bool open(Json&& value) {
    if (static_cast<int>(open_.size()) >= kMaxDepth) {
      fail(ErrorCode::kData, "{}: more than {} nested levels", origin_, kMaxDepth);
    }
    open_.push_back({place(std::move(value)), {}, {}});
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json& root_;
  std::string_view origin_;
  std::vector<Open> open_;
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
  } catch (const Json::exception& problem) {
    fail(ErrorCode::kData, "{}: not valid JSON: {}", origin, problem.what());
  }
  return result;
}

}  // namespace lowbit
