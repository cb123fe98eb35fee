// Runs parsed Go templates, see the header.
#include "actors/agent/template.hpp"

#include <algorithm>
#include <optional>

#include "actors/agent/template_parser.hpp"
#include "runtime/text.hpp"

namespace swarm::agent::gotemplate {

value value::of(std::int64_t number) {
  value out;
  out.kind_ = type::integer;
  out.number_ = number;
  return out;
}

value value::of(bool flag) {
  value out;
  out.kind_ = type::boolean;
  out.number_ = flag;
  return out;
}

value value::object(std::string go_type, fields members) {
  value out;
  out.kind_ = type::object;
  out.text_ = std::move(go_type);
  out.members_ = std::make_shared<const fields>(std::move(members));
  return out;
}

value value::map(const std::map<std::string, std::string>& entries) {
  value out;
  out.kind_ = type::map;
  fields members;
  for (const auto& [key, text] : entries)
    members.emplace(key, value{text});
  out.members_ = std::make_shared<const fields>(std::move(members));
  return out;
}

const value::fields& value::members() const {
  static const fields none;
  return members_ ? *members_ : none;
}

bool value::truth() const {
  switch (kind_) {
    case type::none: return false;
    case type::text: return !text_.empty();
    case type::integer:
    case type::boolean: return number_ != 0;
    case type::object: return true;
    default: return !members().empty();
  }
}

std::string value::print() const {
  switch (kind_) {
    case type::none: return "<no value>";
    case type::text: return text_;
    case type::integer: return std::to_string(number_);
    case type::boolean: return number_ != 0 ? "true" : "false";
    default: break;
  }
  // Go prints maps sorted as map[k:v k2:v2], structs by their values as {v v2}.
  std::string out = kind_ == type::map ? "map[" : "{";
  bool first = true;
  for (const auto& [key, member] : members()) {
    out += first ? "" : " ";
    first = false;
    out += (kind_ == type::map ? key + ":" : "") + member.print();
  }
  return out + (kind_ == type::map ? "]" : "}");
}

namespace {


constexpr std::uint32_t steps_max = 200'000; // nested ranges multiply

class runner {
public:
  runner(const value& root, const functions& extra) : extra_{extra} { variables_.push_back({"$", root}); }

  expansion run(const std::vector<node>& nodes, const value& root) {
    expansion out;
    walk(nodes, root);
    out.text = std::move(out_);
    if (error_)
      out.error = "template: expansion:" + std::to_string(line_) + ": executing \"expansion\": " + *error_;
    return out;
  }

private:
  void walk(const std::vector<node>& nodes, const value& dot) {
    for (const auto& n : nodes) {
      if (++steps_ > steps_max)
        fail("takes too long");
      if (error_)
        return;
      line_ = n.line;
      const auto scope = variables_.size();
      switch (n.what) {
        case node::form::text: write(n.text); break;
        case node::form::action: {
          const auto result = eval(n.pipeline, dot);
          if (n.pipeline.declares.empty())
            write(result.print());
          else
            bind(n.pipeline, result);
          continue; // what it declares stays until the end of the list
        }
        case node::form::if_:
        case node::form::with: {
          const auto result = eval(n.pipeline, dot);
          bind(n.pipeline, result);
          if (result.truth())
            walk(n.body, n.what == node::form::with ? result : dot);
          else
            walk(n.otherwise, dot);
          break;
        }
        case node::form::range: range(n, dot); break;
      }
      variables_.resize(scope);
    }
  }

  void range(const node& n, const value& dot) {
    const auto result = eval(n.pipeline, dot);
    if (error_)
      return;
    if (result.kind() != value::type::map && result.kind() != value::type::none)
      return fail("range can't iterate over " + result.print());
    if (result.members().empty())
      return walk(n.otherwise, dot);
    for (const auto& [key, member] : result.members()) {
      const auto scope = variables_.size();
      const auto& names = n.pipeline.declares;
      if (names.size() == 2)
        variables_.push_back({names[0], value{key}});
      if (!names.empty())
        variables_.push_back({names.back(), member});
      walk(n.body, member);
      variables_.resize(scope);
      if (error_)
        return;
    }
  }

  void bind(const pipeline& p, const value& result) {
    if (p.declares.empty())
      return;
    if (p.assigns) {
      for (auto it = variables_.rbegin(); it != variables_.rend(); ++it)
        if (it->first == p.declares[0]) {
          it->second = result;
          return;
        }
      return fail("undefined variable \"" + p.declares[0] + "\"");
    }
    variables_.push_back({p.declares[0], result});
  }

  value eval(const pipeline& p, const value& dot) {
    std::optional<value> last;
    for (const auto& c : p.commands) {
      last = eval(c, dot, last);
      if (error_)
        return {};
    }
    return last.value_or(value{});
  }

  value eval(const command& c, const value& dot, const std::optional<value>& piped) {
    const auto& head = c.words.front();
    if (head.what != operand::form::function) {
      if (c.words.size() > 1 || piped) {
        fail("can't give argument to non-function " + (head.path.empty() ? head.name : head.path.front()));
        return {};
      }
      return eval(head, dot);
    }
    std::vector<value> arguments;
    for (std::size_t i = 1; i < c.words.size() && !error_; ++i)
      arguments.push_back(eval(c.words[i], dot));
    if (piped)
      arguments.push_back(*piped);
    return error_ ? value{} : call(head.name, arguments);
  }

  value eval(const operand& o, const value& dot) {
    switch (o.what) {
      case operand::form::dot: return dot;
      case operand::form::field: return follow(dot, o.path);
      case operand::form::literal: return o.literal;
      case operand::form::function: return call(o.name, {});
      case operand::form::group: return follow(eval(*o.group, dot), o.path);
      case operand::form::variable:
        for (auto it = variables_.rbegin(); it != variables_.rend(); ++it)
          if (it->first == o.name)
            return follow(it->second, o.path);
        fail("undefined variable \"" + o.name + "\"");
        return {};
    }
    return {};
  }

  value follow(value from, const std::vector<std::string>& path) {
    for (const auto& name : path) {
      if (error_)
        return {};
      const auto it = from.members().find(name);
      if (it != from.members().end()) {
        from = value{it->second};
        continue;
      }
      if (from.kind() == value::type::map || from.kind() == value::type::none)
        return {};
      fail("at <." + name + ">: can't evaluate field " + name + " in type "
           + (from.kind() == value::type::object ? from.text() : from.kind() == value::type::text ? "string" : "int"));
      return {};
    }
    return from;
  }

  value call(const std::string& name, const std::vector<value>& args) {
    if (const auto it = extra_.find(name); it != extra_.end()) {
      auto outcome = it->second(args);
      if (!outcome.error.empty())
        fail("error calling " + name + ": " + outcome.error);
      return outcome.result;
    }
    const auto needs = [&](std::size_t least) {
      if (args.size() < least)
        fail("wrong number of args for " + name + ": want at least " + std::to_string(least) + " got " + std::to_string(args.size()));
      return args.size() >= least;
    };
    if (name == "print" || name == "println")
      return joined(args, name == "println");
    if (name == "printf")
      return needs(1) ? formatted(args) : value{};
    if (name == "join") {
      std::vector<std::string> parts;
      for (std::size_t i = 1; i < args.size(); ++i)
        parts.push_back(args[i].print());
      return needs(1) ? value{text::join(parts, args[0].print())} : value{};
    }
    if (name == "index")
      return needs(1) ? indexed(args) : value{};
    if (name == "len") {
      if (!needs(1))
        return {};
      const auto& a = args[0];
      return value::of(static_cast<std::int64_t>(a.kind() == value::type::text ? a.text().size() : a.members().size()));
    }
    if (name == "not")
      return needs(1) ? value::of(!args[0].truth()) : value{};
    if (name == "and" || name == "or") {
      if (!needs(1))
        return {};
      for (const auto& a : args)
        if (a.truth() == (name == "or"))
          return a;
      return args.back();
    }
    return compared(name, args);
  }

  static value joined(const std::vector<value>& args, bool line) {
    // Go's Sprint puts a blank between two operands when neither is a string, Sprintln always.
    std::string out;
    for (std::size_t i = 0; i < args.size(); ++i) {
      const auto texts = i > 0 && (args[i].kind() == value::type::text || args[i - 1].kind() == value::type::text);
      if (i > 0 && (line || !texts))
        out += ' ';
      out += args[i].print();
    }
    return value{out + (line ? "\n" : "")};
  }

  value formatted(const std::vector<value>& args) {
    std::string out;
    std::size_t next = 1;
    const auto& format = args[0].text();
    for (std::size_t i = 0; i < format.size(); ++i) {
      if (format[i] != '%' || i + 1 == format.size()) {
        out += format[i];
        continue;
      }
      auto verb_at = i + 1;
      while (verb_at < format.size() && (format[verb_at] == '0' || format[verb_at] == '-' || (format[verb_at] >= '1' && format[verb_at] <= '9')))
        ++verb_at;
      const auto flags = format.substr(i + 1, verb_at - i - 1);
      const auto verb = verb_at < format.size() ? format[verb_at] : '%';
      i = verb_at;
      if (verb == '%') {
        out += '%';
        continue;
      }
      if (next >= args.size()) {
        out += std::string{"%!"} + verb + "(MISSING)";
        continue;
      }
      auto text = verb == 'q' ? text::quoted(args[next].print()) : args[next].print();
      ++next;
      std::size_t width = 0;
      for (const auto c : flags)
        width = c >= '0' && c <= '9' ? std::min<std::size_t>(width * 10 + static_cast<std::size_t>(c - '0'), 1000) : width;
      if (text.size() < width)
        text.insert(flags.starts_with('-') ? text.size() : 0, width - text.size(), flags.starts_with('0') && verb == 'd' ? '0' : ' ');
      out += text;
    }
    return value{std::move(out)};
  }

  value indexed(const std::vector<value>& args) {
    auto from = args[0];
    for (std::size_t i = 1; i < args.size(); ++i) {
      if (from.kind() != value::type::map) {
        fail("error calling index: can't index item of type " + (from.kind() == value::type::object ? from.text() : std::string{"string"}));
        return {};
      }
      const auto it = from.members().find(args[i].print());
      from = it == from.members().end() ? value{""} : value{it->second};
    }
    return from;
  }

  value compared(const std::string& name, const std::vector<value>& args) {
    static constexpr std::string_view names[] = {"eq", "ne", "lt", "le", "gt", "ge"};
    if (std::find(std::begin(names), std::end(names), name) == std::end(names)) {
      fail("function \"" + name + "\" not defined");
      return {};
    }
    if (args.size() < 2) {
      fail("error calling " + name + ": missing argument for comparison");
      return {};
    }
    const auto& a = args[0];
    for (std::size_t i = 1; i < args.size(); ++i) {
      const auto& b = args[i];
      if (a.kind() != b.kind()) {
        fail("error calling " + name + ": incompatible types for comparison");
        return {};
      }
      const auto order = a.kind() == value::type::text ? a.text().compare(b.text()) : (a.number() > b.number()) - (a.number() < b.number());
      const auto holds = name == "eq" ? order == 0 : name == "ne" ? order != 0 : name == "lt" ? order < 0 : name == "le" ? order <= 0
                         : name == "gt" ? order > 0 : order >= 0;
      if (holds || name != "eq")
        return value::of(holds);
    }
    return value::of(false);
  }

  void write(const std::string& text) {
    if (out_.size() + text.size() > output_bytes_max)
      return fail("more than " + std::to_string(output_bytes_max) + " bytes of output");
    out_ += text;
  }
  void fail(std::string why) {
    if (!error_)
      error_ = std::move(why);
  }

  const functions& extra_;
  std::vector<std::pair<std::string, value>> variables_;
  std::string out_;
  std::optional<std::string> error_;
  int line_ = 1;
  std::uint32_t steps_ = 0;
};

} // namespace

expansion expand(std::string_view text, const value& root, const functions& extra) {
  if (text.find("{{") == std::string_view::npos)
    return {std::string{text}, {}};
  const auto tree = parse(text);
  if (!tree.error.empty())
    return {{}, tree.error};
  return runner{root, extra}.run(tree.nodes, root);
}

} // namespace swarm::agent::gotemplate
