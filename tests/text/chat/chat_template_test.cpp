#include "lowbit/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "lowbit/base/error.h"
#include "support/error_text.h"
#include "support/test_data.h"
#include "text/text_golden.h"

namespace lowbit {
namespace {

using testing::error_text;
using ::testing::HasSubstr;

const Json& renders() { return testing::golden("chat/renders.json"); }

ChatTemplate chat(std::string_view source) {
  return ChatTemplate(source, renders().at("tokens").get<std::map<std::string, std::string>>(), "a model");
}

std::vector<ChatMessage> conversation(std::size_t number) {
  std::vector<ChatMessage> messages;
  for (const Json& turn : renders().at("conversations").at(number)) {
    messages.push_back({turn.at("role").get<std::string>(), turn.at("content").get<std::string>()});
  }
  return messages;
}

std::string problem(std::string_view source) {
  return error_text(ErrorCode::kData, [&] { (void)chat(source).render(conversation(0)); });
}

TEST(ChatTemplate, RendersConversationsAsTransformersDoes) {
  std::map<std::string, std::size_t> rendered;
  for (const Json& golden : renders().at("renders")) {
    const auto name = golden.at("template").get<std::string>();
    SCOPED_TRACE(golden.dump());
    const ChatTemplate made = chat(read_file(testing::golden_folder() / "chat" / name));
    const auto messages = conversation(golden.at("conversation").get<std::size_t>());
    const ChatOptions options{.add_generation_prompt = golden.at("generation").get<bool>()};
    if (golden.contains("error")) {
      EXPECT_THROW((void)made.render(messages, options), Error);
    } else {
      EXPECT_EQ(made.render(messages, options), golden.at("text").get<std::string>());
      ++rendered[name];
    }
  }
  EXPECT_EQ(rendered.size(), 7U);
}

// One short template for each rule of the language. What Jinja refuses is refused; what it renders is equal, or is one
// of the few things that are refused here.
TEST(ChatTemplate, FollowsTheRulesOfJinja) {
  const std::set<std::string> refused = {"{{ [1] + [2] }}", "{{ 1.0 }}{{ 0.1 + 0.2 }}{{ 1e3 }}", "{{ 'a' * 3 }}"};
  for (const Json& golden : renders().at("snippets")) {
    const auto source = golden.at("source").get<std::string>();
    SCOPED_TRACE(source);
    if (golden.contains("error") || refused.contains(source)) {
      EXPECT_THAT(problem(source), HasSubstr("a model: chat template, line 1, column "));
    } else {
      EXPECT_EQ(chat(source).render(conversation(0)), golden.at("text").get<std::string>());
    }
  }
}

TEST(ChatTemplate, NamesWhatItDoesNotKnowWithLineAndColumn) {
  EXPECT_EQ(problem("a\n{{ 1 }}\n  {% macro x() %}{% endmacro %}"),
            "a model: chat template, line 3, column 3: the tag 'macro' is not supported in chat templates, only if, "
            "for, set, break and continue within for, and generation");
  EXPECT_THAT(problem("é\n {{ 'x' | sort }}"), HasSubstr("line 2, column 11: the filter 'sort' is not supported"));
  EXPECT_THAT(problem("{{ 1 is prime }}"), HasSubstr("column 9: the test 'prime' is not supported"));
  EXPECT_THAT(problem("{{ 'x'.casefold() }}"), HasSubstr("the method 'casefold' of texts is not supported"));
  EXPECT_THAT(problem("{{ dict() }}"), HasSubstr("the function 'dict' is not supported"));
  EXPECT_THAT(problem("{{ 'x'.split(by=1) }}"), HasSubstr("'split' takes no argument 'by'"));
  EXPECT_THAT(problem("{{ 'é'|upper }}"), HasSubstr("'upper' of a chat template is for ASCII alone, got 'é'"));
  EXPECT_THAT(problem("{{ 1 2 }}"), HasSubstr("column 6: expected '}}', got '2'"));
  EXPECT_THAT(problem("{% for x in y %}"), HasSubstr("column 1: 'for' has no 'endfor'"));
  EXPECT_THAT(problem("{{ messages }}"), HasSubstr("a list cannot be written as text"));
  EXPECT_THAT(problem("{{ x.y }}"), HasSubstr("'x' is not defined"));
}

TEST(ChatTemplate, PassesOnWhyATemplateRefusesMessages) {
  EXPECT_EQ(problem("{{ raise_exception('system is not known') }}"),
            "a model: chat template, line 1, column 19: the template refuses these messages: system is not known");
}

TEST(ChatTemplate, EndsWhatWouldNotEnd) {
  const std::string loop = "{% for a in range(5000) %}";
  const std::string end = "{% endfor %}";
  EXPECT_THAT(problem(loop + "{% for b in range(50) %}{{ 1 }}{{ 1 }}{{ 1 }}" + end + end),
              HasSubstr("the template takes more than 1048576 steps"));
  EXPECT_THAT(problem("{% set n = namespace(x='ab') %}" + loop + "{% set n.x = n.x + n.x %}" + end),
              HasSubstr("the template makes more than 67108864 bytes"));
  EXPECT_THAT(problem("{% set x = 'abcdefgh' | replace('', 'a') %}"), HasSubstr("a text that is not empty"));
  EXPECT_THAT(problem("{% set n = namespace(x=[]) %}" + loop + "{% set n.x = [n.x] %}" + end),
              HasSubstr("lists and maps lie more than 64 deep within each other"));
  EXPECT_THAT(problem("{% set n = namespace() %}{% set n.x = n %}"), HasSubstr("a namespace cannot be put into"));
  EXPECT_THAT(problem("{{ " + std::string(1000, '(') + "1" + std::string(1000, ')') + " }}"),
              HasSubstr("more than 128 expressions lie within each other"));
  std::string chain = "{{ 1";
  for (int i = 0; i < 1000; ++i) chain += " + 1";
  EXPECT_THAT(problem(chain + " }}"), HasSubstr("more than 128 expressions lie within each other"));
  std::string tags;
  for (int i = 0; i < 100; ++i) tags += "{% if true %}";
  EXPECT_THAT(problem(tags), HasSubstr("more than 64 tags lie within each other"));
  EXPECT_THAT(problem(loop + "{{ messages[0].content * 0 }}" + end), HasSubstr("'*' cannot join a text and a whole"));
  std::string twins = "{% set a = ['x'] %}{% set b = ['x'] %}";
  for (int i = 0; i < 40; ++i) twins += "{% set a = [a, a] %}{% set b = [b, b] %}";
  EXPECT_THAT(problem(twins + "{{ a == b }}"), HasSubstr("the template takes more than 1048576 steps"));
  const std::string big(std::size_t{1} << 16, 'x');
  EXPECT_THAT(problem("{% set x = '" + big + "' %}" + loop + "{{ x }}" + end),
              HasSubstr("the template writes more than 4194304 bytes"));
}

TEST(ChatTemplate, TellsTheSameDateEachDay) {
  const std::string source = "{{ strftime_now('%d %B %Y') }}";
  EXPECT_EQ(chat(source).render({}), "26 July 2024");
  EXPECT_EQ(chat(source).render({}, {.today = std::chrono::year{2030} / 1 / 2}), "02 January 2030");
}

void write_text(const std::filesystem::path& path, const std::string& text) { std::ofstream(path) << text; }

TEST(ChatTemplate, IsFoundInAFolder) {
  const testing::TemporaryFolder folder;
  const auto rendered = [&] { return ChatTemplate::of_model(folder.path()).render({{"user", "x"}}); };
  const auto config = folder / "tokenizer_config.json";
  EXPECT_THAT(error_text(ErrorCode::kConfig, [&] { (void)rendered(); }),
              HasSubstr("the model has no chat template (looked for chat_template.jinja, and 'chat_template' in "
                        "tokenizer_config.json); take one that was tuned on conversations, or leave 'chat' out"));
  write_text(config, R"({"bos_token": {"content": "<b>"}, "chat_template": "{{ bos_token }}one"})");
  EXPECT_EQ(rendered(), "<b>one");
  write_text(config,
             R"({"chat_template": [{"name": "rag", "template": "no"}, {"name": "default", "template": "two"}]})");
  EXPECT_EQ(rendered(), "two");
  write_text(config, R"({"chat_template": [{"name": "rag", "template": "no"}]})");
  EXPECT_THAT(error_text(ErrorCode::kData, [&] { (void)rendered(); }),
              HasSubstr("'chat_template': none of the templates 'rag' is called 'default'"));
  write_text(config, R"({"bos_token": "<b>"})");
  write_text(folder / "chat_template.jinja", "{{ bos_token }}three");
  EXPECT_EQ(rendered(), "<b>three");
}

}  // namespace
}  // namespace lowbit
