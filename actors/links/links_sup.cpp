// LINKS with the function that gives it its LINKs.
#include "actors/links/links_sup.hpp"

namespace swarm::links {

links_part spawn_links(caf::actor_system& system, io_threads& io, std::shared_ptr<link::credential_store> credentials,
                       links_options opts, link_options each) {
  links_part out;
  out.directory = std::make_shared<link::directory>();
  opts.spawn_link = [directory = out.directory, each](caf::local_actor* parent, link::connection_ptr connection,
                                                      std::string own_node_id, std::uint64_t streams_from) {
    link_setup setup{std::move(connection), directory, parent->address(), std::move(own_node_id), streams_from, each};
    return parent->spawn<caf::linked>(run_link, std::move(setup));
  };
  out.actor = system.spawn(keep_links, &io, std::move(credentials), out.directory, std::move(opts));
  return out;
}

} // namespace swarm::links
