#include "text/chat/interpreter.h"

#include <array>
#include <ctime>

#include "lowbit/base/error.h"

namespace lowbit::chat {
namespace {

constexpr std::int64_t kMaxRange = 100000;
constexpr std::array<const char*, 4> kFunctions = {"raise_exception", "namespace", "range", "strftime_now"};

Value whole(std::size_t number) { return Value(static_cast<std::int64_t>(number)); }

/// What a loop's body finds under "loop".
Value loop_facts(const std::vector<Value>& items, std::size_t index) {
  Map facts;
  facts.entries = {{"index", whole(index + 1)},
                   {"index0", whole(index)},
                   {"revindex", whole(items.size() - index)},
                   {"revindex0", whole(items.size() - index - 1)},
                   {"first", Value(index == 0)},
                   {"last", Value(index + 1 == items.size())},
                   {"length", whole(items.size())}};
  if (index > 0) facts.entries.emplace_back("previtem", items[index - 1]);
  if (index + 1 < items.size()) facts.entries.emplace_back("nextitem", items[index + 1]);
  return Value::map(std::move(facts));
}

Value range_of(const Arguments& arguments, Budget& budget) {
  const auto bound = arguments.bind("range", {"start", "stop", "step"});
  if (bound[0] == nullptr) fail(ErrorCode::kData, "'range' lacks an argument");
  const std::int64_t first = integer_argument(*bound[0], "'range'");
  const std::int64_t start = bound[1] == nullptr ? 0 : first;
  const std::int64_t stop = bound[1] == nullptr ? first : integer_argument(*bound[1], "'range'");
  const std::int64_t step = bound[2] == nullptr ? 1 : integer_argument(*bound[2], "'range'");
  for (const std::int64_t number : {start, stop, step}) {
    if (number < -kMaxRange || number > kMaxRange) {
      fail(ErrorCode::kData, "'range' takes numbers up to {}, got {}", kMaxRange, number);
    }
  }
  if (step == 0) fail(ErrorCode::kData, "the step of 'range' cannot be 0");
  std::vector<Value> numbers;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop; i += step) numbers.emplace_back(i);
  budget.bytes(numbers.size() * sizeof(Value));
  return Value::list(std::move(numbers));
}

Value date_text(const Arguments& arguments, std::chrono::sys_days today) {
  const std::string& format = text_argument(arguments.bind("strftime_now", {"format"})[0], "strftime_now");
  const std::time_t seconds = std::chrono::system_clock::to_time_t(today);
  std::tm date{};
  gmtime_r(&seconds, &date);
  std::array<char, 256> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), format.c_str(), &date);
  if (size == 0 && !format.empty()) {
    fail(ErrorCode::kData, "'strftime_now' cannot write a date as '{}' in {} bytes", format, text.size());
  }
  return Value(std::string(text.data(), size));
}

}  // namespace

Interpreter::Interpreter(Map globals, std::chrono::sys_days today, std::size_t max_output)
    : today_(today), max_output_(max_output) {
  for (const char* function : kFunctions) globals.set(function, Value(Function{function}));
  scopes_.push_back(std::move(globals));
  scopes_.emplace_back();
}

std::string Interpreter::run(const Body& body) {
  (void)execute(body);
  return std::move(out_);
}

Interpreter::Flow Interpreter::execute(const Body& body) {
  for (const Statement& statement : body) {
    const Flow flow = execute(statement);
    if (flow != Flow::kOn) return flow;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::execute(const Statement& statement) {
  position_ = statement.position;
  budget_.step();
  switch (statement.kind) {
    case Statement::Kind::kText: write(statement.text); break;
    case Statement::Kind::kOutput: write(evaluate(statement.expressions[0]).written()); break;
    case Statement::Kind::kIf: return branch(statement);
    case Statement::Kind::kFor: return loop(statement);
    case Statement::Kind::kSet: assign(statement); break;
    case Statement::Kind::kSetBlock: {
      std::string outer = std::exchange(out_, {});
      scopes_.emplace_back();
      (void)execute(statement.bodies[0]);
      scopes_.pop_back();
      set(statement.targets, Value(std::exchange(out_, std::move(outer))));
      break;
    }
    case Statement::Kind::kBreak: return Flow::kBreak;
    case Statement::Kind::kContinue: return Flow::kContinue;
  }
  return Flow::kOn;
}

Interpreter::Flow Interpreter::branch(const Statement& statement) {
  for (std::size_t i = 0; i < statement.expressions.size(); ++i) {
    if (evaluate(statement.expressions[i]).truth()) return execute(statement.bodies[i]);
  }
  const bool otherwise = statement.bodies.size() > statement.expressions.size();
  return otherwise ? execute(statement.bodies.back()) : Flow::kOn;
}

Interpreter::Flow Interpreter::loop(const Statement& statement) {
  std::vector<Value> items = items_of(evaluate(statement.expressions[0]), budget_);
  if (statement.expressions.size() > 1) {
    std::vector<Value> kept;
    for (Value& item : items) {
      budget_.step();
      scopes_.emplace_back();
      set(statement.targets, item);
      const bool holds = evaluate(statement.expressions[1]).truth();
      scopes_.pop_back();
      if (holds) kept.push_back(std::move(item));
    }
    items = std::move(kept);
  }
  for (std::size_t i = 0; i < items.size(); ++i) {
    budget_.step();
    scopes_.emplace_back();
    set(statement.targets, items[i]);
    scopes_.back().set("loop", loop_facts(items, i));
    const Flow flow = execute(statement.bodies[0]);
    scopes_.pop_back();
    if (flow == Flow::kBreak) break;
  }
  if (!items.empty() || statement.bodies.size() == 1) return Flow::kOn;
  return execute(statement.bodies[1]);
}

void Interpreter::assign(const Statement& statement) {
  Value value = evaluate(statement.expressions[0]);
  position_ = statement.position;
  if (statement.text.empty()) return set(statement.targets, value);
  const Value target = name(statement.targets[0]);
  Namespace* held = target.name_space();
  if (held == nullptr) {
    fail(ErrorCode::kData, "'{}' is {}; only what 'namespace()' makes has members that can be set",
         statement.targets[0], target.kind());
  }
  if (value.name_space() != nullptr) fail(ErrorCode::kData, "a namespace cannot be put into another value");
  budget_.scan(held->members.entries.size());
  held->members.set(statement.text, std::move(value));
}

void Interpreter::set(const std::vector<std::string>& targets, const Value& value) {
  budget_.scan(targets.size() * scopes_.back().entries.size());
  if (targets.size() == 1) return scopes_.back().set(targets[0], value);
  const std::vector<Value> items = items_of(value, budget_);
  if (items.size() != targets.size()) {
    fail(ErrorCode::kData, "{} names for {} items", targets.size(), items.size());
  }
  for (std::size_t i = 0; i < targets.size(); ++i) scopes_.back().set(targets[i], items[i]);
}

void Interpreter::write(const std::string& text) {
  budget_.bytes(text.size());
  if (out_.size() + text.size() > max_output_) {
    fail(ErrorCode::kData, "the template writes more than {} bytes", max_output_);
  }
  out_ += text;
}

Value Interpreter::evaluate(const Expression& expression) {
  budget_.step();
  position_ = expression.position;
  switch (expression.kind) {
    case Expression::Kind::kNothing: return Value(None{});
    case Expression::Kind::kLiteral: return expression.value;
    case Expression::Kind::kName: return name(expression.text);
    case Expression::Kind::kList: return Value::list(evaluate_all(expression));
    case Expression::Kind::kMap: return map_literal(expression);
    case Expression::Kind::kCall: return call(expression);
    case Expression::Kind::kUnary: return unary(expression);
    case Expression::Kind::kBinary: return binary(expression);
    case Expression::Kind::kComparison: return comparison(expression);
    case Expression::Kind::kConditional: return conditional(expression);
    default: break;
  }
  const Value value = evaluate(expression.parts[0]);
  if (expression.kind == Expression::Kind::kFilter || expression.kind == Expression::Kind::kTest) {
    const Arguments given = arguments(expression);
    position_ = expression.position;
    if (expression.kind == Expression::Kind::kTest) return Value(apply_test(expression.text, value, given, budget_));
    return apply_filter(expression.text, value, given, budget_);
  }
  std::vector<Value> parts;
  for (std::size_t i = 1; i < expression.parts.size(); ++i) parts.push_back(evaluate(expression.parts[i]));
  position_ = expression.position;
  if (expression.kind == Expression::Kind::kMember) return member_of(value, expression.text, budget_);
  if (expression.kind == Expression::Kind::kItem) return item_of(value, parts[0], budget_);
  parts.resize(3, Value(None{}));
  return slice_of(value, parts[0], parts[1], parts[2], budget_);
}

std::vector<Value> Interpreter::evaluate_all(const Expression& expression) {
  std::vector<Value> values;
  for (const Expression& part : expression.parts) values.push_back(evaluate(part));
  budget_.bytes(values.size() * sizeof(Value));
  return values;
}

Value Interpreter::name(const std::string& name) {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    budget_.scan(scope->entries.size());
    if (const Value* found = scope->find(name)) return *found;
  }
  return Value(Undefined{name});
}

Value Interpreter::map_literal(const Expression& expression) {
  const std::vector<Value> values = evaluate_all(expression);
  position_ = expression.position;
  Map map;
  for (std::size_t i = 0; i < values.size(); i += 2) {
    budget_.scan(map.entries.size());
    map.set(text_argument(&values[i], "a map's key"), values[i + 1]);
  }
  return Value::map(std::move(map));
}

Value Interpreter::unary(const Expression& expression) {
  const Value value = evaluate(expression.parts[0]);
  position_ = expression.position;
  if (expression.text == "not") return Value(!value.truth());
  return combine(Value(std::int64_t{0}), expression.text, value, budget_);
}

Value Interpreter::binary(const Expression& expression) {
  Value left = evaluate(expression.parts[0]);
  if (expression.text == "and") return left.truth() ? evaluate(expression.parts[1]) : left;
  if (expression.text == "or") return left.truth() ? left : evaluate(expression.parts[1]);
  const Value right = evaluate(expression.parts[1]);
  position_ = expression.position;
  return combine(left, expression.text, right, budget_);
}

Value Interpreter::comparison(const Expression& expression) {
  Value left = evaluate(expression.parts[0]);
  for (std::size_t i = 0; i < expression.names.size(); ++i) {
    Value right = evaluate(expression.parts[i + 1]);
    position_ = expression.position;
    if (!compare(left, expression.names[i], right, budget_)) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Interpreter::conditional(const Expression& expression) {
  if (evaluate(expression.parts[1]).truth()) return evaluate(expression.parts[0]);
  const Expression& otherwise = expression.parts[2];
  if (otherwise.kind == Expression::Kind::kNothing) return Value(Undefined{"else"});
  return evaluate(otherwise);
}

Arguments Interpreter::arguments(const Expression& call) {
  Arguments given;
  const std::size_t first_named = call.parts.size() - call.names.size();
  for (std::size_t i = 1; i < first_named; ++i) given.values.push_back(evaluate(call.parts[i]));
  for (std::size_t i = 0; i < call.names.size(); ++i) {
    given.named.emplace_back(call.names[i], evaluate(call.parts[first_named + i]));
  }
  return given;
}

Value Interpreter::call(const Expression& expression) {
  const Expression& callee = expression.parts[0];
  if (callee.kind == Expression::Kind::kMember) {
    const Value self = evaluate(callee.parts[0]);
    const Arguments given = arguments(expression);
    position_ = callee.position;
    if (self.text() != nullptr) return call_text_method(*self.text(), callee.text, given, budget_);
    if (self.map() != nullptr) return call_map_method(*self.map(), callee.text, given);
    if (const auto* missing = self.get<Undefined>()) {
      fail(ErrorCode::kData, "'{}' is not defined, so it has no method '{}'", missing->name, callee.text);
    }
    fail(ErrorCode::kData, "{} has no method '{}'", self.kind(), callee.text);
  }
  const Value function = evaluate(callee);
  const Arguments given = arguments(expression);
  position_ = expression.position;
  if (const auto* known = function.get<Function>()) return call_function(known->name, given);
  if (const auto* missing = function.get<Undefined>()) {
    fail(ErrorCode::kData, "the function '{}' is not supported in chat templates", missing->name);
  }
  fail(ErrorCode::kData, "{} cannot be called", function.kind());
}

Value Interpreter::call_function(const std::string& name, const Arguments& arguments) {
  if (name == "range") return range_of(arguments, budget_);
  if (name == "strftime_now") return date_text(arguments, today_);
  if (name == "raise_exception") {
    const std::string& message = text_argument(arguments.bind(name, {"message"})[0], name);
    fail(ErrorCode::kData, "the template refuses these messages: {}", message);
  }
  Namespace made;
  if (!arguments.values.empty()) fail(ErrorCode::kData, "'namespace' takes its members as 'name=value'");
  for (const auto& [member, value] : arguments.named) {
    if (value.name_space() != nullptr) fail(ErrorCode::kData, "a namespace cannot be put into another value");
    made.members.set(member, value);
  }
  return Value(std::make_shared<Namespace>(std::move(made)));
}

}  // namespace lowbit::chat
