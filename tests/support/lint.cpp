// Reading the tree, blanking comments, and the lints that look at text: sizes, first lines, tables, indexes.
#include "tests/support/lint.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

namespace swarm::test::lint {

namespace fs = std::filesystem;

namespace {

constexpr int function_lines_max = 70;
constexpr int header_lines_max = 300;
constexpr int test_header_lines_max = 500; // a fixture holds what would be a source elsewhere
constexpr int source_lines_max = 800;

bool ends(const std::string& text, std::string_view ending) { return text.ends_with(ending); }
bool is_test(const std::string& path) { return path.starts_with("tests/"); }
bool is_source(const std::string& path) { return ends(path, ".cpp") || ends(path, ".hpp"); }

std::string stem_of(const std::string& path) { return fs::path{path}.stem().string(); }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);)
    out.push_back(line);
  return out;
}

int line_at(const std::string& text, std::size_t position) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(position), '\n'));
}

// Preprocessor lines blanked: a macro's braces need not match.
std::string without_directives(std::string code) {
  for (std::size_t begin = 0; begin < code.size();) {
    const auto end = std::min(code.find('\n', begin), code.size());
    if (const auto first = code.find_first_not_of(' ', begin); first < end && code[first] == '#')
      std::fill(code.begin() + static_cast<std::ptrdiff_t>(begin), code.begin() + static_cast<std::ptrdiff_t>(end), ' ');
    begin = end + 1;
  }
  return code;
}

enum class scope { outer, function, block };

// What the brace after `head` opens, when it stands at namespace or class level.
scope classify(const std::string& head) {
  static const std::regex outer{R"(\b(namespace|class|struct|union|enum|extern)\b[^()]*$)"};
  static const std::regex initialiser{R"([=,(]\s*$|=\s*[\w:<>, ]*$|\breturn\b)"};
  if (std::regex_search(head, outer))
    return scope::outer;
  if (std::regex_search(head, initialiser))
    return scope::block;
  return head.find(')') != std::string::npos || head.empty() ? scope::function : scope::block;
}

} // namespace

std::vector<file> read_tree(const std::string& root) {
  static const std::set<std::string> endings{".cpp", ".hpp", ".proto", ".cmake", ".txt", ".py", ".sh", ".md", ""};
  std::vector<file> out;
  for (auto it = fs::recursive_directory_iterator{root}; it != fs::recursive_directory_iterator{}; ++it) {
    const auto name = it->path().filename().string();
    if (it->is_directory() && (name == ".git" || name == "build" || name == "testdata" || name == "__pycache__")) {
      it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file() || !endings.contains(it->path().extension().string()))
      continue;
    std::ifstream in{it->path(), std::ios::binary};
    out.push_back({fs::relative(it->path(), root).string(), {std::istreambuf_iterator<char>{in}, {}}});
  }
  std::sort(out.begin(), out.end(), [](const file& a, const file& b) { return a.path < b.path; });
  return out;
}

std::string strip(const std::string& text, bool keep_strings) {
  std::string out = text;
  const auto blank = [&](std::size_t from, std::size_t to) {
    for (auto i = from; i < std::min(to, out.size()); ++i)
      if (out[i] != '\n')
        out[i] = ' ';
  };
  for (std::size_t i = 0; i < text.size();) {
    if (text.compare(i, 2, "//") == 0) {
      const auto end = std::min(text.find('\n', i), text.size());
      blank(i, end);
      i = end;
    } else if (text.compare(i, 2, "/*") == 0) {
      const auto end = std::min(text.find("*/", i + 2), text.size() - 2) + 2;
      blank(i, end);
      i = end;
    } else if (text.compare(i, 2, "R\"") == 0) {
      const auto open = text.find('(', i);
      const auto closing = ")" + text.substr(i + 2, open - i - 2) + "\"";
      const auto end = std::min(text.find(closing, open), text.size() - closing.size()) + closing.size();
      if (!keep_strings)
        blank(i + 2, end - 1);
      i = end;
    } else if (text[i] == '"' || (text[i] == '\'' && (i == 0 || std::isalnum(static_cast<unsigned char>(text[i - 1])) == 0))) {
      auto end = i + 1;
      while (end < text.size() && text[end] != text[i] && text[end] != '\n')
        end += text[end] == '\\' ? 2 : 1;
      if (!keep_strings)
        blank(i + 1, end);
      i = end + 1;
    } else {
      ++i;
    }
  }
  return out;
}

std::vector<finding> check_sizes(const file& f) {
  if (!is_source(f.path))
    return {};
  std::vector<finding> out;
  const auto total = static_cast<int>(std::count(f.text.begin(), f.text.end(), '\n'));
  const bool header = ends(f.path, ".hpp") && f.path != "messages/interfaces.hpp"; // which holds every table
  const auto limit = !header ? source_lines_max : is_test(f.path) ? test_header_lines_max : header_lines_max;
  if (total > limit)
    out.push_back({f.path, total, "the file has more than " + std::to_string(limit) + " lines"});
  if (is_test(f.path))
    return out;

  const auto code = without_directives(strip(f.text));
  std::vector<scope> open;
  std::vector<int> line_of_head;
  std::size_t head_begin = 0;
  int line = 1;
  for (std::size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    line += c == '\n' ? 1 : 0;
    if (c == '{') {
      auto first = code.find_first_not_of(" \n", head_begin);
      first = std::min(first, i);
      const bool inside = !open.empty() && open.back() != scope::outer;
      open.push_back(inside ? scope::block : classify(code.substr(first, i - first)));
      const auto head = code.begin() + static_cast<std::ptrdiff_t>(first);
      line_of_head.push_back(line - static_cast<int>(std::count(head, code.begin() + static_cast<std::ptrdiff_t>(i), '\n')));
      head_begin = i + 1;
    } else if (c == '}' && !open.empty()) {
      const auto lines = line - line_of_head.back() + 1;
      if (open.back() == scope::function && lines > function_lines_max)
        out.push_back({f.path, line_of_head.back(), "a function of " + std::to_string(lines) + " lines"});
      open.pop_back();
      line_of_head.pop_back();
      head_begin = i + 1;
    } else if (c == ';' && (open.empty() || open.back() == scope::outer)) {
      head_begin = i + 1;
    }
  }
  return out;
}

std::vector<finding> check_first_line(const file& f) {
  const auto lines = lines_of(f.text);
  const auto starts = [&](std::size_t i, std::string_view mark) {
    return lines.size() > i && lines[i].starts_with(mark) && lines[i].size() > mark.size() + 10;
  };
  const bool script = !lines.empty() && lines[0].starts_with("#!");
  if (is_source(f.path) || ends(f.path, ".proto")) {
    if (!starts(0, "// "))
      return {{f.path, 1, "the first line is to say what the file is for"}};
  } else if (ends(f.path, ".py") && !script) {
    if (!starts(0, "\"\"\"") && !starts(0, "# "))
      return {{f.path, 1, "the first line is to say what the file is for"}};
  } else if (script || ends(f.path, ".cmake") || ends(f.path, "CMakeLists.txt") || ends(f.path, ".sh")) {
    const std::size_t at = script ? 1 : 0;
    if (!starts(at, "# ") && !starts(at, "\"\"\""))
      return {{f.path, 1, "the first line (after #!) is to say what the file is for"}};
  }
  return {};
}

std::vector<finding> check_leftovers(const file& f) {
  // Spelled apart, so that this file does not find itself.
  static const std::vector<std::string> notes{std::string{"FIX"} + "ME", std::string{"TO"} + "DO", std::string{"X"} + "XX"};
  const auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::vector<finding> out;
  for (const auto& note : notes)
    for (auto at = f.text.find(note); at != std::string::npos; at = f.text.find(note, at + 1)) {
      const auto after = at + note.size();
      if ((at == 0 || !is_word(f.text[at - 1])) && (after >= f.text.size() || !is_word(f.text[after])))
        out.push_back({f.path, line_at(f.text, at), "a note to self: do it, or file an issue"});
    }
  return out;
}

std::vector<finding> check_interfaces(const file& f) {
  if (f.path != "messages/interfaces.hpp")
    return {};
  static const std::regex handle{R"(using\s+(\w+)\s*=[^;]*caf::typed_actor\s*<([^;]*)>\s*;)"};
  static const std::regex clause{R"(\b(replies_to|reacts_to)\b)"};
  static const std::regex header{R"(^/// \|\s*from\s*\|\s*message\s*\|\s*meaning\s*\|\s*reply\s*\|\s*errors\s*\|)"};
  std::vector<finding> out;
  const auto lines = lines_of(f.text);
  for (std::sregex_iterator it{f.text.begin(), f.text.end(), handle}, none; it != none; ++it) {
    const auto line = line_at(f.text, static_cast<std::size_t>(it->position()));
    const auto clauses_text = (*it)[2].str();
    const auto clauses = std::distance(std::sregex_iterator{clauses_text.begin(), clauses_text.end(), clause}, none);
    std::ptrdiff_t rows = -1; // the rule below the header is no row
    bool table = false;
    for (auto i = line - 2; i >= 0 && lines[static_cast<std::size_t>(i)].starts_with("///"); --i) {
      const auto& text = lines[static_cast<std::size_t>(i)];
      if (std::regex_search(text, header)) {
        table = true;
        break;
      }
      rows += text.starts_with("/// |") ? 1 : 0;
    }
    if (!table)
      out.push_back({f.path, line, (*it)[1].str() + " has no table | from | message | meaning | reply | errors |"});
    else if (rows != clauses)
      out.push_back({f.path, line, (*it)[1].str() + " has " + std::to_string(clauses) + " clauses but " +
                                       std::to_string(rows) + " rows in its table"});
  }
  return out;
}

std::vector<finding> check_mirrors(const std::vector<file>& tree) {
  std::set<std::string> paths;
  for (const auto& f : tree)
    paths.insert(f.path);
  std::vector<finding> out;
  for (const auto& f : tree) {
    const auto stem = stem_of(f.path);
    if (!is_core(f.path) || !ends(f.path, ".cpp") || !(ends(stem, "_core") || stem == "engine_map"))
      continue;
    const auto mirror = "tests/" + (fs::path{f.path}.parent_path() / (stem + "_test.cpp")).string();
    if (!paths.contains(mirror))
      out.push_back({f.path, 1, "a core without its test " + mirror});
  }
  return out;
}

std::vector<finding> check_message_index(const std::vector<file>& tree) {
  const auto readme = std::find_if(tree.begin(), tree.end(), [](const auto& f) { return f.path == "messages/README.md"; });
  if (readme == tree.end())
    return {{"messages/README.md", 1, "the index of all protocols is missing"}};
  static const std::regex handle{R"(using\s+(\w+)\s*=[^;]*caf::typed_actor\s*<)"};
  std::vector<finding> out;
  for (const auto& f : tree) {
    if (ends(f.path, ".proto") && f.path.starts_with("messages/")) {
      if (readme->text.find(fs::path{f.path}.filename().string()) == std::string::npos)
        out.push_back({readme->path, 1, f.path + " is not in the index"});
    } else if (f.path == "messages/interfaces.hpp") {
      for (std::sregex_iterator it{f.text.begin(), f.text.end(), handle}, none; it != none; ++it)
        if (!std::regex_search(readme->text, std::regex{"\\b" + (*it)[1].str() + "\\b"}))
          out.push_back({readme->path, 1, (*it)[1].str() + " is not in the index"});
    }
  }
  return out;
}

} // namespace swarm::test::lint
