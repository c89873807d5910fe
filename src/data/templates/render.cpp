#include "data/templates/template.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

class Renderer {
 public:
  void render(const std::vector<Template::Node>& nodes, const TemplateScope& scope) {
    for (const Template::Node& node : nodes) {
      switch (node.kind) {
        case Template::Node::Kind::kText: add(node.text); break;
        case Template::Node::Kind::kValue:
          add(template_text(node.expression.value(scope), fmt::format("'{}'", node.expression.name)));
          break;
        case Template::Node::Kind::kIf: render(node.condition.holds(scope) ? node.body : node.otherwise, scope); break;
        case Template::Node::Kind::kFor: loop(node, scope); break;
      }
    }
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void loop(const Template::Node& node, const TemplateScope& scope) {
    const Json items = template_list(node.expression, scope);
    for (std::size_t i = 0; i < items.size(); ++i) {
      const Json variables = loop_variables(node.text, items, i);
      render(node.body, TemplateScope(variables, &scope));
    }
  }
  void add(std::string_view text) {
    if (text.size() > Template::kMaxOutput - text_.size()) {
      fail(ErrorCode::kData, "the template writes more than {} bytes", Template::kMaxOutput);
    }
    text_ += text;
  }
  std::string text_;
};

}  // namespace

Json loop_variables(const std::string& name, const Json& items, std::size_t index) {
  // Behind Z there is no letter; nothing is shown there with letters.
  const std::string letter = index < 26 ? std::string(1, static_cast<char>('A' + index)) : "";
  return {{name, items[index]},
          {"index", index},
          {"number", index + 1},
          {"letter", letter},
          {"last", index + 1 == items.size()}};
}

std::string Template::render(const TemplateScope& scope) const {
  Renderer renderer;
  renderer.render(*nodes_, scope);
  return renderer.take();
}

}  // namespace lowbit
