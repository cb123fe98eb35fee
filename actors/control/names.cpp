// Adjectives and surnames of people who made computing, networks and mathematics what they are.
#include "actors/control/names.hpp"

#include <array>
#include <string_view>

namespace swarm::control {

namespace {

constexpr std::array<std::string_view, 64> adjectives{
  "able",     "agile",    "amber",   "ample",  "apt",     "bold",    "brave",   "bright", "brisk",  "calm",   "candid",
  "careful",  "cheerful", "clear",   "clever", "cosy",    "curious", "daring",  "deft",   "direct", "eager",  "early",
  "earnest",  "fair",     "fearless", "fine",  "fluent",  "fond",    "frank",   "gentle", "glad",   "golden", "graceful",
  "hardy",    "honest",   "humble",  "keen",   "kind",    "lively",  "loyal",   "lucid",  "mellow", "merry",  "modest",
  "nimble",   "noble",    "open",    "patient", "placid", "plucky",  "proud",   "quick",  "quiet",  "ready",  "serene",
  "sharp",    "silver",   "sincere", "steady", "sunny",   "tidy",    "upbeat",  "vivid",  "warm"};

constexpr std::array<std::string_view, 64> surnames{
  "abel",     "agnesi",   "allen",    "aryabhata", "babbage",  "backus",    "bartik",   "bernoulli", "boole",   "borg",
  "cantor",   "cauchy",   "cerf",     "church",    "codd",     "curry",     "dahl",     "dijkstra",  "engelbart", "erdos",
  "estrin",   "euler",    "feinler",  "fermat",    "floyd",    "galois",    "gauss",    "germain",   "goldberg", "gray",
  "hamilton", "hamming",  "hilbert",  "hoare",     "hopper",   "huffman",   "iverson",  "jacobi",    "kahn",    "karp",
  "kilburn",  "kleene",   "knuth",    "lamarr",    "lamport",  "leibniz",   "licklider", "liskov",   "lovelace", "mccarthy",
  "metcalfe", "mirzakhani", "naur",   "noether",   "nygaard",  "perlman",   "ramanujan", "riemann",  "ritchie", "shannon",
  "tarjan", "turing",   "wirth",    "zuse"};

} // namespace

std::string random_name(random_source& rng) {
  std::string out{adjectives[rng.below(adjectives.size())]};
  out += '_';
  return out += surnames[rng.below(surnames.size())];
}

} // namespace swarm::control
