// Builds one visitor out of several lambdas, for std::visit.
#pragma once

namespace swarm {

template <class... Fs>
struct overload : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overload(Fs...) -> overload<Fs...>;

} // namespace swarm
