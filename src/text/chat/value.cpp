#include "text/chat/value.h"

#include <algorithm>
#include <array>

#include "lowbit/base/error.h"
#include "lowbit/base/json.h"

namespace lowbit::chat {
namespace {

std::size_t depth_above(std::size_t depth, const Value& item) {
  if (item.name_space() != nullptr) {
    fail(ErrorCode::kData, "a namespace cannot be put into another value");
  }
  if (item.depth() >= Value::kMaxDepth) {
    fail(ErrorCode::kData, "lists and maps lie more than {} deep within each other", Value::kMaxDepth);
  }
  return std::max(depth, item.depth() + 1);
}

class JsonWriter {
 public:
  JsonWriter(std::int64_t indent, std::size_t limit) : indent_(indent), limit_(limit) {}

  void write(const Value& value, std::int64_t level) {
    if (const List* list = value.list()) {
      write_all('[', ']', list->items, level, [&](const Value& item) { write(item, level + 1); });
    } else if (const Map* map = value.map()) {
      write_all('{', '}', map->entries, level, [&](const auto& entry) {
        out_ += Json(entry.first).dump() + ": ";
        write(entry.second, level + 1);
      });
    } else {
      out_ += scalar(value);
    }
    if (out_.size() > limit_) fail(ErrorCode::kData, "'tojson' would write more than {} bytes", limit_);
  }

  std::string take() { return std::move(out_); }

 private:
  template <typename Items, typename Write>
  void write_all(char open, char close, const Items& items, std::int64_t level, Write write_item) {
    out_ += open;
    bool first = true;
    for (const auto& item : items) {
      if (!first) out_ += indent_ < 0 ? ", " : ",";
      first = false;
      new_line(level + 1);
      write_item(item);
    }
    if (!items.empty()) new_line(level);
    out_ += close;
  }

  void new_line(std::int64_t level) {
    if (indent_ >= 0) out_ += "\n" + std::string(static_cast<std::size_t>(indent_ * level), ' ');
  }

  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const bool* flag = value.get<bool>()) return *flag ? "true" : "false";
    if (const std::int64_t* number = value.integer()) return fmt::format("{}", *number);
    if (const double* number = value.get<double>()) return Json(*number).dump();
    if (const std::string* text = value.text()) return Json(*text).dump();
    fail(ErrorCode::kData, "{} cannot be written as JSON", value.kind());
  }

  std::int64_t indent_;
  std::size_t limit_;
  std::string out_;
};

}  // namespace

const Value* Map::find(std::string_view key) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
  return found == entries.end() ? nullptr : &found->second;
}

void Map::set(const std::string& key, Value value) {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
  if (found == entries.end()) {
    entries.emplace_back(key, std::move(value));
  } else {
    found->second = std::move(value);
  }
}

Value Value::list(std::vector<Value> items, bool lazy) {
  std::size_t depth = 1;
  for (const Value& item : items) depth = depth_above(depth, item);
  Value result(std::make_shared<const List>(List{std::move(items), lazy}));
  result.depth_ = depth;
  return result;
}

Value Value::map(Map map) {
  std::size_t depth = 1;
  for (const auto& [key, item] : map.entries) depth = depth_above(depth, item);
  Value result(std::make_shared<const Map>(std::move(map)));
  result.depth_ = depth;
  return result;
}

const List* Value::list() const {
  const auto* held = get<std::shared_ptr<const List>>();
  return held == nullptr ? nullptr : held->get();
}

const Map* Value::map() const {
  const auto* held = get<std::shared_ptr<const Map>>();
  return held == nullptr ? nullptr : held->get();
}

Namespace* Value::name_space() const {
  const auto* held = get<std::shared_ptr<Namespace>>();
  return held == nullptr ? nullptr : held->get();
}

double Value::number() const {
  if (const double* number = get<double>()) return *number;
  return static_cast<double>(*integer());
}

bool Value::truth() const {
  if (const bool* flag = get<bool>()) return *flag;
  if (is_number()) return number() != 0.0;
  if (const std::string* held = text()) return !held->empty();
  if (const List* held = list()) return held->lazy || !held->items.empty();
  if (const Map* held = map()) return !held->entries.empty();
  return !is_undefined() && !is_none();
}

std::string_view Value::kind() const {
  static constexpr std::array<std::string_view, std::variant_size_v<Data>> kNames = {
      "what is not defined", "none",      "a flag", "a whole number", "a number", "a text", "a list", "a map",
      "a namespace",         "a function"};
  return kNames[data_.index()];
}

std::string Value::written() const {
  if (const std::string* held = text()) return *held;
  if (is_undefined()) return {};
  if (is_none()) return "None";
  if (const bool* flag = get<bool>()) return *flag ? "True" : "False";
  if (const std::int64_t* number = integer()) return fmt::format("{}", *number);
  if (const double* number = get<double>()) return Json(*number).dump();
  fail(ErrorCode::kData, "{} cannot be written as text; only texts, numbers and flags can, or 'tojson' of it", kind());
}

std::string to_json(const Value& value, std::int64_t indent, std::size_t limit) {
  JsonWriter writer(indent, limit);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace lowbit::chat
