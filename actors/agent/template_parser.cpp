// Parses Go templates, see the header.
#include "actors/agent/template_parser.hpp"

#include <algorithm>
#include <charconv>

namespace swarm::agent::gotemplate {
namespace {

constexpr int depth_max = 64;

struct token {
  enum class form : std::uint8_t { word, field, variable, string, number, pipe, open, close, declare, assign, comma, end };
  form what = form::end;
  std::string text;
};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }

class parser {
public:
  explicit parser(std::string_view text) : text_{text} {}

  parsed run() {
    parsed out;
    std::string stop;
    out.nodes = list(stop, 0);
    if (error_.empty() && !stop.empty())
      fail("unexpected {{" + stop + "}}");
    out.error = error_;
    return out;
  }

private:
  // Nodes up to {{end}}, {{else…}} or the end of the text; `stop` says which.
  std::vector<node> list(std::string& stop, int depth) {
    std::vector<node> out;
    stop.clear();
    if (depth > depth_max) {
      fail("nested too deeply");
      return out;
    }
    while (error_.empty() && pos_ < text_.size()) {
      const auto open = text_.find("{{", pos_);
      auto literal = text_.substr(pos_, open == std::string_view::npos ? open : open - pos_);
      add_text(out, literal, open != std::string_view::npos && text_.substr(open).starts_with("{{- "));
      if (open == std::string_view::npos) {
        pos_ = text_.size();
        break;
      }
      std::string inside;
      if (!action_text(open, inside))
        break;
      if (inside.starts_with("/*"))
        continue;
      const auto keyword = inside.substr(0, inside.find_first_of(" \t\n("));
      if (keyword == "end" || keyword == "else") {
        stop = inside;
        return out;
      }
      out.push_back(action(keyword, inside, depth));
    }
    return out;
  }

  void add_text(std::vector<node>& out, std::string_view literal, bool trim_right) {
    if (trim_left_)
      while (!literal.empty() && is_space(literal.front()))
        literal.remove_prefix(1);
    if (trim_right)
      while (!literal.empty() && is_space(literal.back()))
        literal.remove_suffix(1);
    if (literal.empty())
      return;
    node n;
    n.text = std::string{literal};
    out.push_back(std::move(n));
  }

  // What stands between the braces, without trim markers; moves behind them.
  bool action_text(std::size_t open, std::string& inside) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_), text_.begin() + static_cast<std::ptrdiff_t>(open), '\n'));
    counted_ = open;
    auto begin = open + 2;
    if (text_.substr(begin).starts_with("- "))
      begin += 2;
    auto end = begin;
    while (end < text_.size() && is_space(text_[end]))
      ++end;
    if (text_.substr(end).starts_with("/*")) {
      end = text_.find("*/", end);
      if (end == std::string_view::npos)
        return fail("unclosed comment");
    }
    char quote = 0;
    for (; end < text_.size(); ++end) {
      const auto c = text_[end];
      if (quote != 0) {
        if (c == '\\' && quote != '`')
          ++end;
        else if (c == quote)
          quote = 0;
      } else if (c == '"' || c == '`' || c == '\'') {
        quote = c;
      } else if (text_.substr(end).starts_with("}}")) {
        break;
      }
    }
    if (end >= text_.size())
      return fail("unclosed action");
    auto content = text_.substr(begin, end - begin);
    trim_left_ = content.size() >= 2 && content.ends_with("-") && is_space(content[content.size() - 2]);
    if (trim_left_)
      content.remove_suffix(1);
    while (!content.empty() && is_space(content.front()))
      content.remove_prefix(1);
    while (!content.empty() && is_space(content.back()))
      content.remove_suffix(1);
    inside = std::string{content};
    pos_ = end + 2;
    return true;
  }

  node action(const std::string& keyword, const std::string& inside, int depth) {
    node n;
    n.line = line_;
    if (keyword != "if" && keyword != "with" && keyword != "range") {
      if (keyword == "define" || keyword == "template" || keyword == "block" || keyword == "break" || keyword == "continue") {
        fail("{{" + keyword + "}} is not supported");
        return n;
      }
      n.what = node::form::action;
      n.pipeline = whole_pipeline(inside);
      return n;
    }
    n.what = keyword == "if" ? node::form::if_ : keyword == "with" ? node::form::with : node::form::range;
    n.pipeline = whole_pipeline(inside.substr(keyword.size()));
    std::string stop;
    n.body = list(stop, depth + 1);
    if (stop.starts_with("else")) {
      const auto rest = stop.substr(4);
      const auto at = rest.find_first_not_of(" \t\n");
      if (at != std::string::npos) { // {{else if …}}: one that ends with the same {{end}}
        const auto inner = rest.substr(at);
        const auto word = inner.substr(0, inner.find_first_of(" \t\n("));
        if (word != "if" && word != "with")
          fail("unexpected {{" + stop + "}}");
        else if (depth > depth_max)
          fail("nested too deeply");
        else
          n.otherwise.push_back(action(word, inner, depth + 1));
        return n;
      }
      n.otherwise = list(stop, depth + 1);
    }
    if (stop != "end" && error_.empty())
      fail(stop.empty() ? "unexpected EOF" : "unexpected {{" + stop + "}}");
    return n;
  }

  // -- inside an action ------------------------------------------------------------------------------------------------

  pipeline whole_pipeline(const std::string& inside) {
    tokens_.clear();
    next_ = 0;
    tokenize(inside);
    auto out = read_pipeline(0);
    if (error_.empty() && peek().what != token::form::end)
      fail("unexpected " + peek().text + " in command");
    return out;
  }

  pipeline read_pipeline(int depth) {
    pipeline out;
    if (depth > depth_max) {
      fail("nested too deeply");
      return out;
    }
    read_declaration(out);
    while (error_.empty()) {
      command c;
      while (error_.empty() && peek().what != token::form::pipe && peek().what != token::form::end && peek().what != token::form::close)
        c.words.push_back(read_operand(depth));
      if (c.words.empty())
        fail("missing value for command");
      out.commands.push_back(std::move(c));
      if (peek().what != token::form::pipe)
        break;
      ++next_;
    }
    return out;
  }

  void read_declaration(pipeline& out) {
    if (peek().what != token::form::variable)
      return;
    if (peek(1).what == token::form::declare || peek(1).what == token::form::assign) {
      out.declares.push_back(peek().text);
      out.assigns = peek(1).what == token::form::assign;
      next_ += 2;
    } else if (peek(1).what == token::form::comma && peek(2).what == token::form::variable && peek(3).what == token::form::declare) {
      out.declares = {peek().text, peek(2).text};
      next_ += 4;
    }
  }

  operand read_operand(int depth) {
    const auto t = peek();
    ++next_;
    operand out;
    switch (t.what) {
      case token::form::field:
        out.what = operand::form::field;
        if (t.text == ".")
          out.what = operand::form::dot;
        else
          split_path(t.text, out.path);
        break;
      case token::form::variable: {
        out.what = operand::form::variable;
        const auto dot = t.text.find('.');
        out.name = t.text.substr(0, dot);
        if (dot != std::string::npos)
          split_path(t.text.substr(dot), out.path);
        break;
      }
      case token::form::string:
        out.what = operand::form::literal;
        out.literal = value{t.text};
        break;
      case token::form::number: {
        out.what = operand::form::literal;
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(t.text.data(), t.text.data() + t.text.size(), number);
        if (error != std::errc{} || end != t.text.data() + t.text.size())
          fail("bad number syntax: \"" + t.text + "\"");
        out.literal = value::of(number);
        break;
      }
      case token::form::word:
        if (t.text == "true" || t.text == "false") {
          out.what = operand::form::literal;
          out.literal = value::of(t.text == "true");
        } else if (t.text == "nil") {
          out.what = operand::form::literal;
        } else {
          out.what = operand::form::function;
          out.name = t.text;
        }
        break;
      case token::form::open:
        out.what = operand::form::group;
        out.group = std::make_shared<pipeline>(read_pipeline(depth + 1));
        if (error_.empty() && peek().what != token::form::close)
          fail("unclosed left paren");
        ++next_;
        if (peek().what == token::form::field && peek().text != "." && peek().text.starts_with("."))
          split_path(tokens_[next_++].text, out.path);
        break;
      default: fail("unexpected " + (t.text.empty() ? "EOF" : t.text) + " in operand");
    }
    return out;
  }

  static void split_path(std::string_view text, std::vector<std::string>& out) {
    for (std::size_t i = 1; i <= text.size();) {
      const auto end = std::min(text.find('.', i), text.size());
      out.emplace_back(text.substr(i, end - i));
      i = end + 1;
    }
  }

  const token& peek(std::size_t ahead = 0) const {
    static const token none;
    return next_ + ahead < tokens_.size() ? tokens_[next_ + ahead] : none;
  }

  void tokenize(std::string_view s) {
    for (std::size_t i = 0; i < s.size() && error_.empty();) {
      const auto c = s[i];
      const auto run = [&](std::size_t from) {
        auto end = from;
        while (end < s.size() && (is_name(s[end]) || s[end] == '.'))
          ++end;
        return end;
      };
      std::size_t end = i + 1;
      if (is_space(c)) {
        i = end;
        continue;
      }
      if (c == '|') tokens_.push_back({token::form::pipe, "|"});
      else if (c == '(') tokens_.push_back({token::form::open, "("});
      else if (c == ')') tokens_.push_back({token::form::close, ")"});
      else if (c == ',') tokens_.push_back({token::form::comma, ","});
      else if (s.substr(i).starts_with(":=")) tokens_.push_back({token::form::declare, ":="}), end = i + 2;
      else if (c == '=') tokens_.push_back({token::form::assign, "="});
      else if (c == '.') end = run(i), tokens_.push_back({token::form::field, std::string{s.substr(i, end - i)}});
      else if (c == '$') end = run(i + 1), tokens_.push_back({token::form::variable, std::string{s.substr(i, end - i)}});
      else if (c == '"' || c == '`') end = quoted(s, i);
      else if (is_name(c) || c == '-' || c == '+') {
        end = run(i + 1);
        const auto numeric = !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_');
        tokens_.push_back({numeric ? token::form::number : token::form::word, std::string{s.substr(i, end - i)}});
      } else {
        fail("unexpected \"" + std::string(1, c) + "\" in command");
      }
      i = end;
    }
  }

  std::size_t quoted(std::string_view s, std::size_t i) {
    const auto quote = s[i++];
    std::string out;
    while (i < s.size() && s[i] != quote) {
      if (s[i] == '\\' && quote == '"' && i + 1 < s.size()) {
        const auto e = s[++i];
        out += e == 'n' ? '\n' : e == 't' ? '\t' : e == 'r' ? '\r' : e;
      } else {
        out += s[i];
      }
      ++i;
    }
    if (i >= s.size())
      fail("unterminated quoted string");
    tokens_.push_back({token::form::string, std::move(out)});
    return i + 1;
  }

  bool fail(const std::string& why) {
    if (error_.empty())
      error_ = "template: expansion:" + std::to_string(line_) + ": " + why;
    return false;
  }

  std::string_view text_;
  std::size_t pos_ = 0;
  std::size_t counted_ = 0;
  int line_ = 1;
  bool trim_left_ = false;
  std::string error_;
  std::vector<token> tokens_;
  std::size_t next_ = 0;
};

} // namespace

parsed parse(std::string_view text) {
  return parser{text}.run();
}

} // namespace swarm::agent::gotemplate
