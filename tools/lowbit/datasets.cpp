#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "lowbit/base/error.h"
#include "lowbit/data/examples.h"
#include "lowbit/text/chat_template.h"
#include "lowbit/text/tokenizer.h"
#include "session.h"

namespace lowbit::cli {
namespace {

DatasetCatalog make_catalog(const Session& session) {
  const Resources resources = session.resources();
  return {resources.dataset_folders(), resources.data_folders};
}

std::string kind_of(const DatasetDefinition& definition) {
  return definition.task == nullptr ? "text" : definition.scenario.empty() ? "task" : definition.scenario;
}

int list_datasets(const Session& session) {
  session.start();
  for (const DatasetDefinition& definition : make_catalog(session).all()) {
    fmt::print("{:<20} {:<8} {:<24} {}\n", definition.name, definition.language, kind_of(definition),
               definition.summary);
  }
  return 0;
}

void print_field(std::string_view name, const std::string& value) {
  if (!value.empty()) fmt::print("  {:<12} {}\n", name, value);
}

int show(const Session& session, const std::string& name) {
  session.start();
  const DatasetDefinition definition = make_catalog(session).find(name);
  fmt::print("{}: {}\n", definition.name, definition.summary);
  print_field("kind", kind_of(definition));
  print_field("language", definition.language);
  print_field("domain", definition.domain);
  print_field("licence", definition.licence);
  print_field("version", fmt::format("{}", definition.version));
  print_field("hub", definition.source.hub);
  print_field("config", definition.source.config);
  print_field("also", fmt::format("{}", fmt::join(definition.source.also, ", ")));
  print_field("url", definition.source.url);
  print_field("package", definition.source.package);
  print_field("remedy", definition.remedy);
  print_field("defined in", definition.file.string());
  for (const auto& [split, files] : definition.splits) {
    std::string text;
    for (const std::string& file : files.files) text += (text.empty() ? "" : ", ") + file;
    print_field("split", fmt::format("{}: {}", split, text));
  }
  return 0;
}

struct PreviewArguments {
  std::string dataset, model;
  bool chat = false;
  ExampleOptions options{.limit = 3};
};

// Line ends and special tokens as they are, but marked, so that one sees where each thing begins and ends.
std::string visible(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += "⏎";
    out += c;
  }
  return out;
}

// "<|im_start|>The| following| are": a token's text, and special tokens by name.
std::string tokens_of(const Tokenizer& tokenizer, const std::string& text) {
  std::string out;
  for (const TokenId id : encode_prompt(tokenizer, text)) {
    const TokenId one[] = {id};
    out += (out.empty() ? "" : "|") + (tokenizer.is_special(id) ? tokenizer.piece(id) : tokenizer.decode(one));
  }
  return out;
}

void print_example(const Example& example, const Tokenizer* tokenizer) {
  fmt::print("--- {} ({})\n", example.id, example.where);
  const auto text_of = [&](const std::string& text) {
    return visible(tokenizer == nullptr ? text : tokens_of(*tokenizer, text));
  };
  if (example.contexts.size() == 1) fmt::print("{}\n", text_of(example.contexts.front()));
  for (const std::string& reference : example.references) fmt::print("= [{}]\n", visible(reference));
  for (std::size_t i = 0; i < example.choices.size(); ++i) {
    const bool gold = std::find(example.gold.begin(), example.gold.end(), i) != example.gold.end();
    const std::string own = example.contexts.size() == 1 ? "" : text_of(example.contexts[i]);
    fmt::print("{} {}[{}]\n", gold ? "*" : " ", own, visible(example.continuation(i)));
  }
}

int preview(const Session& session, const PreviewArguments& arguments) {
  session.start();
  const DatasetCatalog catalog = make_catalog(session);
  const DatasetDefinition definition = catalog.find(arguments.dataset);
  std::unique_ptr<Tokenizer> tokenizer;
  if (!arguments.model.empty()) tokenizer = load_tokenizer(find_model(arguments.model, session.resources()).path);
  if (definition.task == nullptr && arguments.chat) {
    fail(ErrorCode::kConfig, "dataset '{}' is plain text: it has no turns for '--chat'", definition.name);
  }
  if (definition.task == nullptr) {
    const std::string split = arguments.options.split.empty() ? "test" : arguments.options.split;
    const Corpus corpus = catalog.load(definition, split);
    for (std::size_t i = 0; i < std::min<std::size_t>(corpus.documents.size(), arguments.options.limit); ++i) {
      fmt::print("--- {} {}\n{}\n", split, i, visible(corpus.documents[i]));
    }
    return 0;
  }
  ExampleOptions options = arguments.options;
  std::optional<ChatTemplate> chat;
  if (arguments.chat) options.chat = &chat.emplace(tokenizer->chat_template());
  const ExampleSet set = catalog.examples(definition, options);
  for (std::size_t i = 0; i < set.examples.size() && static_cast<std::int64_t>(i) < arguments.options.limit; ++i) {
    print_example(set.examples[i], tokenizer.get());
  }
  if (set.problems.empty()) return 0;
  std::string text;
  for (const ExampleProblem& problem : set.problems) text += fmt::format("\n  {}: {}", problem.where, problem.message);
  fail(ErrorCode::kData, "{} rows cannot be used:{}", set.problems.size(), text);
}

}  // namespace

void add_datasets(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("datasets", "List datasets, and show what a model reads of them");
  command->require_subcommand(1);
  command->add_subcommand("list", "Every dataset with its language, kind and summary")->callback([&session] {
    session.command = [&session] { return list_datasets(session); };
  });

  auto name = std::make_shared<std::string>();
  CLI::App* show_command = command->add_subcommand("show", "A dataset's source, licence and splits");
  show_command->add_option("dataset", *name, "Name in datasets/, or a definition's file")->required();
  show_command->callback([name, &session] { session.command = [name, &session] { return show(session, *name); }; });

  auto arguments = std::make_shared<PreviewArguments>();
  CLI::App* preview_command = command->add_subcommand(
      "preview",
      "The first questions as a model meets them: answers in [ ], the right one behind *, what a written one is "
      "compared with behind =, line ends as ⏎");
  preview_command->add_option("dataset", arguments->dataset, "Name in datasets/, or a definition's file")->required();
  preview_command->add_option("--split", arguments->options.split, "By default the one that is scored");
  preview_command->add_option("--shots", arguments->options.shots, "Solved examples; by default the dataset's own")
      ->check(CLI::Range(0, 1000));
  preview_command->add_option("--group", arguments->options.groups, "Only this subject or domain; may be repeated");
  preview_command->add_option("-n,--count", arguments->options.limit, "How many questions")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  CLI::Option* model =
      preview_command->add_option("--model", arguments->model, "Show the tokens of this model, cut by |");
  CLI::Option* chat =
      preview_command->add_flag("--chat", arguments->chat, "As turns, by the model's chat template")->needs(model);
  preview_command
      ->add_flag("!--one-turn", arguments->options.shots_as_turns, "Shots in the question's turn, not in their own")
      ->needs(chat);
  preview_command->add_option("--data", session.data_folders, "Folder searched for dataset files");
  preview_command->callback(
      [arguments, &session] { session.command = [arguments, &session] { return preview(session, *arguments); }; });
}

}  // namespace lowbit::cli
