// Chat templates of models that others made: template and a user's text, a zero byte between them.
#include <algorithm>

#include "fuzz/fuzz.h"
#include "lowbit/base/error.h"
#include "lowbit/text/chat_template.h"

namespace lowbit::fuzzing {
namespace {

void read(std::string_view input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  const std::string content(end < input.size() ? input.substr(end + 1) : "Why?");
  const ChatTemplate chat(input.substr(0, end), {{"bos_token", "<s>"}, {"eos_token", "</s>"}}, "a model");
  const std::string text = chat.render({{"system", content}, {"user", content}, {"assistant", content}});
  if (text.size() > ChatTemplate::kMaxOutput) report("a text longer than allowed");
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  return {
      "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m.content|trim }}{% if not loop.last %}\n{% endif %}{% endfor %}\0 Hi"s,
      "{%- set ns = namespace(x=0, y='') -%}\n  {% for m in messages[::-1] if m.role != 'system' %}\n{% set ns.x = "
      "ns.x + "
      "loop.index0 %}{% set ns.y = ns.y ~ m.content[1:-1].split('a')[-1].strip() %}{% else %}-{% endfor %}{{ ns.x }}",
      "{# c #}{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') | upper }}",
      "{{ {'a': [1, 2.5, none, true]} | tojson(indent=2) }}{{ range(3) | list | tojson }}{{ strftime_now('%d %b %Y') "
      "}}",
      "{% if messages[0].role is string and 'x' not in messages[0].content %}{% set t %}a{% endset %}{{ t if t else "
      "'b' }}"
      "{% elif false %}{{ raise_exception('no') }}{% endif %}",
      "{{ -7 // 2 }}{{ 7 % -3 }}{{ 1 / 3 }}{{ 1 < 2 <= 3 != 4 }}{{ not (a or b) and c is not defined }}"};
}

}  // namespace

const Target& target() {
  static const Target result = {.read = read,
                                .seeds = seeds,
                                .words = {"{%",
                                          "%}",
                                          "{{",
                                          "}}",
                                          "{#",
                                          "#}",
                                          "{%-",
                                          "-%}",
                                          " if ",
                                          " else ",
                                          "{% endif %}",
                                          "{% endfor %}",
                                          "{% for x in messages %}",
                                          "{% set x = ",
                                          " | ",
                                          "tojson",
                                          "replace('a', 'aa')",
                                          " is ",
                                          " not ",
                                          " in ",
                                          "[::-1]",
                                          "[99999999999]",
                                          ".content",
                                          "messages",
                                          "namespace(",
                                          "range(",
                                          "loop.previtem",
                                          "('",
                                          "')",
                                          "**",
                                          "//",
                                          "\\u",
                                          "9223372036854775807",
                                          "{% break %}"},
                                // What a template may make, twice over for copies on the way.
                                .memory = std::size_t{192} << 20};
  return result;
}

}  // namespace lowbit::fuzzing
