// The lints that keep the layers apart: who may include whom, and what a core must not call.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

#include "tests/support/lint.hpp"

namespace swarm::test::lint {

namespace fs = std::filesystem;

namespace {

struct include {
  int line;
  std::string path;
  bool ours; // "quoted"
};

bool ends(const std::string& text, std::string_view ending) { return text.ends_with(ending); }
bool is_source(const std::string& path) { return ends(path, ".cpp") || ends(path, ".hpp"); }
std::string folder_of(const std::string& path) { return fs::path{path}.parent_path().string(); }
std::string stem_of(const std::string& path) { return fs::path{path}.stem().string(); }

bool is_any(const std::string& path, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](auto prefix) { return path.starts_with(prefix); });
}

std::vector<include> includes_of(const file& f) {
  static const std::regex line{R"(^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"])"};
  const auto code = strip(f.text, true);
  std::vector<include> out;
  int number = 1;
  for (std::size_t begin = 0; begin < code.size(); ++number) {
    const auto end = std::min(code.find('\n', begin), code.size());
    std::smatch m;
    const auto text = code.substr(begin, end - begin);
    if (text.find('#') != std::string::npos && std::regex_search(text, m, line))
      out.push_back({number, m[2].str(), m[1].str() == "\""});
    begin = end + 1;
  }
  return out;
}

bool is_actor_shell(const std::string& path) {
  return path.starts_with("actors/") && (ends(stem_of(path), "_actor"));
}

bool is_supervisor(const std::string& path) {
  return ends(stem_of(path), "_sup") || is_any(path, {"actors/node/", "actors/manager/"});
}

// -- one rule per layer: the reason why `f` must not include `inc`, or nothing -------------------------------

std::string refuse_in_messages(const file& f, const include& inc) {
  static const std::set<std::string> with_caf{"interfaces", "type_ids", "codec"};
  if (inc.ours)
    return inc.path.starts_with("messages/") ? "" : "messages/ includes nothing else of ours";
  return inc.path.starts_with("caf/") && !with_caf.contains(stem_of(f.path)) ? "only interfaces, type_ids and codec know CAF"
                                                                              : "";
}

std::string refuse_in_runtime(const file&, const include& inc) {
  static const std::set<std::string> no_swarm_noun{
      "messages/errors.hpp",   "messages/codec.hpp",    "messages/render.hpp",   "messages/type_ids.hpp",
      "messages/options.pb.h", "messages/link.pb.h", "messages/introspect.pb.h"};
  if (inc.ours && !inc.path.starts_with("runtime/") && !no_swarm_noun.contains(inc.path))
    return "runtime/ knows no Swarm noun";
  return "";
}

std::string refuse_in_core(const file& f, const include& inc) {
  static const std::vector<std::string_view> world{
      "caf/",       "lmdb",      "openssl/", "boost/asio", "boost/beast", "spdlog/", "sys/",   "netinet/", "net/",
      "linux/",    "unistd.h", "fcntl.h",    "signal.h",    "poll.h",  "thread", "mutex",    "shared_mutex",
      "condition_variable", "future", "fstream", "filesystem", "iostream", "random", "cstdlib", "ctime",     "csignal"};
  static const std::set<std::string> runtime_ok{"runtime/ids.hpp",    "runtime/time.hpp",     "runtime/random.hpp",
                                                "runtime/check.hpp",  "runtime/overload.hpp", "runtime/text.hpp"};
  if (!inc.ours)
    return is_any(inc.path, world) ? "a core does not touch the world" : "";
  if (inc.path.starts_with("runtime/"))
    return runtime_ok.contains(inc.path) || folder_of(inc.path) == folder_of(f.path)
               ? ""
               : "a core uses only ids, time, random, check, overload and text of runtime/";
  if (inc.path.starts_with("messages/"))
    return is_any(inc.path, {"messages/interfaces", "messages/type_ids", "messages/codec"}) ? "that brings in CAF" : "";
  if (folder_of(inc.path) == folder_of(f.path))
    return ends(stem_of(inc.path), "_actor") || ends(stem_of(inc.path), "_sup") ? "a core does not know its shell" : "";
  if (f.path.starts_with("drivers/") && inc.path == "drivers/driver_core.hpp")
    return "";
  return "a core includes only cores of its own folder";
}

std::string refuse_in_shell(const file& f, const include& inc) {
  if (!inc.ours)
    return "";
  if (inc.path.starts_with("drivers/"))
    return "an actor reaches a driver by its handle";
  const bool shell = ends(stem_of(inc.path), "_actor") || ends(stem_of(inc.path), "_sup");
  // A second source of an actor has no header of its own: it implements what its neighbour's declares.
  const auto own = folder_of(f.path) + "/" + stem_of(f.path) + ".hpp";
  const bool second_source = folder_of(inc.path) == folder_of(f.path) && ends(f.path, ".cpp") &&
                             strip(f.text, true).find("\"" + own + "\"") == std::string::npos;
  if (inc.path.starts_with("actors/") && shell && inc.path != own && !second_source)
    return "an actor reaches another by its handle, not by its header";
  return "";
}

std::string refuse_in_driver(const file& f, const include& inc) {
  if (!inc.ours)
    return "";
  if (inc.path.starts_with("actors/"))
    return "a driver knows no actor of ours";
  if (inc.path.starts_with("drivers/") && folder_of(inc.path) != "drivers" && folder_of(inc.path) != folder_of(f.path))
    return "a driver knows no other driver";
  return "";
}

std::string refuse(const file& f, const include& inc) {
  if (inc.ours && is_any(inc.path, {"tests/"}))
    return "nothing includes tests";
  if (inc.ours && inc.path.starts_with("apps/") && !f.path.starts_with("apps/"))
    return "nothing below apps/ includes it";
  if (f.path.starts_with("messages/"))
    return refuse_in_messages(f, inc);
  std::string why;
  if (f.path.starts_with("runtime/"))
    why = refuse_in_runtime(f, inc);
  if (f.path.starts_with("drivers/"))
    why = refuse_in_driver(f, inc);
  if (why.empty() && is_core(f.path))
    why = refuse_in_core(f, inc);
  if (why.empty() && is_actor_shell(f.path) && !is_supervisor(f.path))
    why = refuse_in_shell(f, inc);
  return why;
}

struct ban {
  std::string_view word;
  bool call;  // only when followed by a parenthesis
  std::string_view why;
};

constexpr ban banned_in_cores[] = {
    {"::now", true, "the time is handed in"},
    {"random_device", false, "random numbers come from the seeded generator"},
    {"rand", true, "random numbers come from the seeded generator"},
    {"srand", true, "random numbers come from the seeded generator"},
    {"std::thread", false, "a core runs in one thread"},
    {"std::jthread", false, "a core runs in one thread"},
    {"std::mutex", false, "a core runs in one thread"},
    {"std::shared_mutex", false, "a core runs in one thread"},
    {"std::atomic", false, "a core runs in one thread"},
    {"std::async", false, "a core runs in one thread"},
    {"std::cout", false, "a core prints nothing"},
    {"std::cerr", false, "a core prints nothing"},
    {"std::clog", false, "a core prints nothing"},
    {"printf", true, "a core prints nothing"},
    {"fprintf", true, "a core prints nothing"},
    {"log::debug", true, "a core's effects are its log"},
    {"log::info", true, "a core's effects are its log"},
    {"log::warn", true, "a core's effects are its log"},
    {"log::error", true, "a core's effects are its log"},
    {"getenv", true, "a core does not touch the world"},
    {"system", true, "a core does not touch the world"},
    {"caf::", false, "a core does not touch the world"},
};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Plain searching: regular expressions over the whole tree take a minute in a debug build.
std::vector<finding> find_words(const file& f, const std::string& code, const ban& b) {
  std::vector<finding> out;
  for (auto at = code.find(b.word); at != std::string::npos; at = code.find(b.word, at + 1)) {
    const auto after = at + b.word.size();
    if ((is_word(b.word.front()) && at > 0 && is_word(code[at - 1])) ||
        (is_word(b.word.back()) && after < code.size() && is_word(code[after])))
      continue;
    if (const auto next = code.find_first_not_of(" \n", after); b.call && (next == std::string::npos || code[next] != '('))
      continue;
    const auto line = 1 + static_cast<int>(std::count(code.begin(), code.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
    out.push_back({f.path, line, std::string{b.word} + ": " + std::string{b.why}});
  }
  return out;
}

std::vector<finding> find_all(const file& f, const std::string& code, const std::regex& what, const std::string& why) {
  std::vector<finding> out;
  for (std::sregex_iterator it{code.begin(), code.end(), what}, none; it != none; ++it) {
    const auto line = 1 + static_cast<int>(std::count(code.begin(), code.begin() + it->position(), '\n'));
    out.push_back({f.path, line, it->str() + ": " + why});
  }
  return out;
}

} // namespace

bool is_core(const std::string& path) {
  if (!is_source(path))
    return false;
  const auto stem = stem_of(path);
  if (ends(stem, "_core") || stem == "engine_map" || path.starts_with("runtime/link/frame.") ||
      path.starts_with("runtime/link/identity."))
    return !path.starts_with("tests/") && !path.starts_with("apps/");
  // node/ builds the tree out of everything; storage/ is this node's disk; ca/ its keys and certificates.
  return path.starts_with("actors/") && !is_any(path, {"actors/node/", "actors/storage/", "actors/ca/"}) &&
         !ends(stem, "_actor") && !ends(stem, "_sup");
}

std::vector<finding> check_includes(const file& f) {
  if (!is_source(f.path) || f.path.starts_with("tests/"))
    return {};
  std::vector<finding> out;
  for (const auto& inc : includes_of(f))
    if (const auto why = refuse(f, inc); !why.empty())
      out.push_back({f.path, inc.line, "includes " + inc.path + ": " + why});
  return out;
}

std::vector<finding> check_core_calls(const file& f) {
  if (!is_core(f.path))
    return {};
  std::vector<finding> out;
  const auto code = strip(f.text);
  for (const auto& b : banned_in_cores)
    for (auto& one : find_words(f, code, b))
      out.push_back(std::move(one));
  return out;
}

std::vector<finding> check_caf_use(const file& f) {
  if (!is_source(f.path) || f.path.starts_with("tests/"))
    return {};
  static const std::regex using_caf{R"(\busing\s+namespace\s+caf\s*;)"};
  const auto code = strip(f.text);
  auto out = find_words(f, code, {"caf::infinite", false, "every request has a deadline"});
  if (code.find("namespace") != std::string::npos && code.find("using") != std::string::npos)
    for (auto& one : find_all(f, code, using_caf, "caf::node_id and caf::group collide with ours"))
      out.push_back(std::move(one));
  return out;
}

std::vector<finding> check_unordered(const std::vector<file>& tree) {
  static const std::regex declared{R"(\bunordered_(?:multi)?(?:map|set)\s*<[^;{}()]*>\s*(\w+)\s*[;={])"};
  std::map<std::string, std::set<std::string>> names; // by path without its ending, so that x.hpp serves x.cpp
  const auto key = [](const std::string& path) { return path.substr(0, path.rfind('.')); };
  for (const auto& f : tree) {
    if (!is_core(f.path) || f.text.find("unordered_") == std::string::npos)
      continue;
    const auto code = strip(f.text);
    for (std::sregex_iterator it{code.begin(), code.end(), declared}, none; it != none; ++it)
      names[key(f.path)].insert((*it)[1].str());
  }
  std::vector<finding> out;
  for (const auto& f : tree) {
    if (!is_core(f.path) || !names.contains(key(f.path)))
      continue;
    const auto code = strip(f.text);
    for (const auto& name : names[key(f.path)])
      for (auto& one : find_all(f, code, std::regex{R"(\bfor\s*\([^;{}]*:\s*)" + name + R"(\s*\)|\b)" + name +
                                                    R"(\.begin\s*\(|\berase_if\s*\(\s*)" + name + R"(\b)"},
                                "the order of an unordered container differs from run to run"))
        out.push_back(std::move(one));
  }
  return out;
}

} // namespace swarm::test::lint
