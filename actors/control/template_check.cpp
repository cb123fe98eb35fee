// A parser of template actions that produces nothing but complaints.
#include "actors/control/template_check.hpp"

#include <array>
#include <vector>

#include "runtime/text.hpp"

namespace swarm::control {

namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_word(char c) { return is_letter(c) || (c >= '0' && c <= '9'); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/// "Service.Labels" stands for any label below it.
constexpr std::array<std::string_view, 12> known_fields{
  "Service", "Service.ID", "Service.Name", "Service.Labels", "Node", "Node.ID", "Node.Hostname",
  "Node.Platform.Architecture", "Node.Platform.OS", "Task.ID", "Task.Name", "Task.Slot"};
constexpr std::array<std::string_view, 15> functions{"index", "print", "printf", "println", "len", "join", "not", "and",
                                                     "or",    "eq",    "ne",     "lt",      "le",  "gt",   "ge"};
constexpr std::array<std::string_view, 5> unsupported_words{"define", "block", "template", "break", "continue"};

template <class Words>
bool is_among(const Words& words, std::string_view word) {
  for (const auto each : words)
    if (each == word)
      return true;
  return false;
}

bool is_known(std::string_view field) {
  if (field.starts_with("Service.Labels."))
    return field.find('.', sizeof "Service.Labels." - 1) == std::string_view::npos;
  for (const auto known : known_fields)
    if (known == field)
      return true;
  return field == "Task" || field == "Node.Platform";
}

// The types as Go prints them.
std::string_view type_of(std::string_view path) {
  if (path.empty())
    return "*template.Context";
  if (path == "Service")
    return "struct { ID string; Name string; Labels map[string]string }";
  if (path == "Node")
    return "struct { ID string; Hostname string; Platform template.Platform }";
  if (path == "Node.Platform")
    return "template.Platform";
  if (path == "Task")
    return "struct { ID string; Name string; Slot string }";
  return "string";
}

/// The first name of an unknown path that its parent does not have, with the parent.
struct unknown_field {
  std::string_view parent;
  std::string_view name;
};
unknown_field first_unknown(std::string_view path) {
  for (std::size_t end = path.find('.');; end = path.find('.', end + 1)) {
    const auto prefix = path.substr(0, end);
    const bool known = is_known(prefix) || prefix == "Service" || prefix == "Node" || prefix == "Service.Labels";
    if (!known || end == std::string_view::npos) {
      const auto dot = prefix.rfind('.');
      return {dot == std::string_view::npos ? std::string_view{} : prefix.substr(0, dot),
              prefix.substr(dot == std::string_view::npos ? 0 : dot + 1)};
    }
  }
}

/// What is open around an action.
enum class scope : char { if_, with, range };

class action_parser {
public:
  action_parser(std::string_view whole, std::string_view action, std::size_t offset, std::vector<scope>& scopes)
      : whole_{whole}, action_{action}, offset_{offset}, scopes_{scopes} {}

  /// Returns the complaint, or "".
  std::string run() {
    skip_space();
    if (!keyword())
      pipeline();
    return problem_;
  }

private:
  bool at_end() const { return i_ >= action_.size(); }
  void skip_space() {
    while (!at_end() && is_space(action_[i_]))
      ++i_;
  }
  std::string at(const std::string& what) const {
    std::size_t line = 1;
    for (const char c : whole_.substr(0, offset_))
      line += c == '\n' ? 1 : 0;
    return "template: expansion:" + std::to_string(line) + ": " + what;
  }

  std::string_view peek_word() const {
    auto end = i_;
    while (end < action_.size() && is_word(action_[end]))
      ++end;
    return action_.substr(i_, end - i_);
  }

  /// True when the action is a whole statement and nothing is left to read.
  bool keyword() {
    const auto word = peek_word();
    if (is_among(unsupported_words, word)) {
      problem_ = at("{{" + std::string{word} + "}} is not supported");
      return true;
    }
    if (word == "if" || word == "with" || word == "range") {
      i_ += word.size();
      skip_space();
      if (at_end()) {
        problem_ = at("missing value for " + std::string{word});
        return true;
      }
      pipeline(); // of the scope outside
      scopes_.push_back(word == "if" ? scope::if_ : word == "with" ? scope::with : scope::range);
      if (scopes_.size() > 64)
        problem_ = at("nested too deeply");
      return true;
    }
    if (word != "else" && word != "end")
      return false;
    if (scopes_.empty()) {
      problem_ = at("unexpected {{" + std::string{word} + "}}");
      return true;
    }
    i_ += word.size();
    skip_space();
    if (word == "end") {
      scopes_.pop_back();
      if (!at_end())
        problem_ = at("unexpected " + text::quoted(action_.substr(i_)) + " in end");
    } else if (peek_word() == "if" || peek_word() == "with") {
      i_ += peek_word().size();
      pipeline();
    }
    return true;
  }

  void pipeline() {
    skip_space();
    bool need_value = true;
    std::size_t open = 0;
    while (problem_.empty() && !at_end()) {
      const char c = action_[i_];
      if ((c == '|' && !need_value) || (c == ')' && !need_value && open > 0)) {
        need_value = c == '|';
        open -= c == ')' ? 1 : 0;
        ++i_;
      } else if (c == '(') {
        need_value = true;
        if (++open > 64)
          problem_ = at("nested too deeply");
        ++i_;
      } else if (action_.substr(i_).starts_with(":=") || (c == '=' && !need_value)) {
        need_value = true;
        i_ += c == ':' ? 2 : 1;
      } else if (c == ',' && !need_value) {
        need_value = true;
        ++i_;
      } else {
        operand();
        need_value = false;
      }
      skip_space();
    }
    if (!problem_.empty())
      return;
    if (need_value)
      problem_ = at("missing value for command");
    else if (open > 0)
      problem_ = at("unclosed left paren");
  }

  void operand() {
    const char c = action_[i_];
    if (c == '.')
      field(i_, false);
    else if (c == '$')
      variable();
    else if (c == '"' || c == '`' || c == '\'')
      literal(c);
    else if (is_letter(c))
      word();
    else if ((c >= '0' && c <= '9') || c == '-' || c == '+')
      for (++i_; !at_end() && (is_word(action_[i_]) || action_[i_] == '.');)
        ++i_;
    else
      problem_ = at("unexpected " + text::quoted(std::string_view{&c, 1}) + " in operand");
  }

  void variable() {
    const auto begin = ++i_;
    while (!at_end() && is_word(action_[i_]))
      ++i_;
    if (!at_end() && action_[i_] == '.')
      field(i_, begin != i_); // $ itself is what the template works on, wherever it stands
  }

  /// Names below the dot are known unless the dot, or a variable, is some value of the template's own.
  void field(std::size_t begin, bool of_variable) {
    const bool from_root = begin > 0 && action_[begin - 1] == '$';
    i_ = begin + 1;
    while (!at_end() && (is_word(action_[i_]) || action_[i_] == '.'))
      ++i_;
    const auto name = action_.substr(begin + 1, i_ - begin - 1);
    if (!at_end() && !is_space(action_[i_]) && std::string_view{"|),"}.find(action_[i_]) == std::string_view::npos) {
      problem_ = at("bad character U+00" + hex(action_[i_]) + " " + text::quoted(action_.substr(i_, 1)));
      return;
    }
    bool moved = of_variable;
    for (const auto s : scopes_)
      moved = moved || (s != scope::if_ && !from_root);
    if (name.empty() || moved || is_known(name))
      return;
    const auto [parent, missing] = first_unknown(name);
    const auto second = name.find('.'); // a chain of fields is where its second one begins
    const auto where = offset_ + begin + (second == std::string_view::npos ? 0 : second + 1);
    problem_ = "template: expansion:1:" + std::to_string(where) + ": executing \"expansion\" at <." + std::string{name}
               + ">: can't evaluate field " + std::string{missing} + " in type " + std::string{type_of(parent)};
  }

  void literal(char quote) {
    for (++i_; !at_end() && action_[i_] != quote; ++i_)
      if (action_[i_] == '\\' && quote != '`')
        ++i_;
    if (at_end())
      problem_ = at(quote == '`' ? "unterminated raw quoted string" : "unterminated quoted string");
    ++i_;
  }

  void word() {
    const auto name = peek_word();
    i_ += name.size();
    if (!is_among(functions, name) && name != "true" && name != "false" && name != "nil")
      problem_ = at("function " + text::quoted(name) + " not defined");
  }

  static std::string hex(char c) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    const auto value = static_cast<unsigned char>(c);
    return {digits[value >> 4], digits[value & 15]};
  }

  std::string_view whole_;
  std::string_view action_;
  std::size_t offset_;
  std::vector<scope>& scopes_;
  std::size_t i_ = 0;
  std::string problem_;
};

/// Where the action that begins at `from` ends ("}}" outside of strings), or npos.
std::size_t action_end(std::string_view text, std::size_t from) {
  char quote = 0;
  for (auto i = from; i + 1 < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\' && quote != '`')
        ++i;
      else if (c == quote)
        quote = 0;
    } else if (c == '"' || c == '`' || c == '\'') {
      quote = c;
    } else if (c == '}' && text[i + 1] == '}') {
      return i;
    }
  }
  return std::string_view::npos;
}

} // namespace

std::optional<std::string> check_template(std::string_view text) {
  std::vector<scope> scopes;
  for (std::size_t i = 0; (i = text.find("{{", i)) != std::string_view::npos;) {
    auto begin = i + 2;
    if (begin + 1 < text.size() && text[begin] == '-' && is_space(text[begin + 1]))
      ++begin;
    auto inside = begin;
    while (inside < text.size() && is_space(text[inside]))
      ++inside;
    if (text.substr(inside).starts_with("/*")) {
      const auto close = text.find("*/", inside);
      if (close == std::string_view::npos)
        return "template: expansion:1: unclosed comment";
      auto end = close + 2;
      while (end < text.size() && (is_space(text[end]) || text[end] == '-'))
        ++end;
      if (!text.substr(end).starts_with("}}"))
        return "template: expansion:1: comment ends before closing delimiter";
      i = end + 2;
      continue;
    }
    const auto end = action_end(text, begin);
    if (end == std::string_view::npos)
      return "template: expansion:1: unclosed action";
    auto action = text.substr(begin, end - begin);
    if (action.size() >= 2 && action.back() == '-' && is_space(action[action.size() - 2]))
      action.remove_suffix(2);
    if (auto problem = action_parser{text, action, begin, scopes}.run(); !problem.empty())
      return problem;
    i = end + 2;
  }
  return scopes.empty() ? std::nullopt : std::optional<std::string>{"template: expansion:1: unexpected EOF"};
}

std::optional<std::string> check_templates(const ContainerSpec& container) {
  const auto failed = [](std::string_view what, const std::string& problem) {
    return "expanding " + std::string{what} + " failed: " + problem;
  };
  if (auto bad = check_template(container.hostname()))
    return failed("hostname", *bad);
  for (const auto& env : container.env()) {
    const auto equals = env.find('='); // a name without a value is no template, there or here
    if (equals == std::string::npos)
      continue;
    if (auto bad = check_template(std::string_view{env}.substr(equals + 1)))
      return failed("env", "expanding env " + text::quoted(env) + ": " + *bad);
  }
  for (const auto& mount : container.mounts()) {
    for (const auto& [what, given] : {std::pair{"source", &mount.source()}, std::pair{"target", &mount.target()}})
      if (auto bad = check_template(*given))
        return failed("mounts", "expanding mount " + std::string{what} + " " + text::quoted(*given) + ": " + *bad);
    std::vector<std::string_view> texts;
    for (const auto& [key, value] : mount.volume_options().labels())
      texts.push_back(value);
    for (const auto& [key, value] : mount.volume_options().driver_config().options())
      texts.push_back(value);
    for (const auto text : texts)
      if (auto bad = check_template(text))
        return failed("mounts", *bad);
  }
  return std::nullopt;
}

} // namespace swarm::control
