// Whether a text names an image, by the grammar of Docker's distribution/reference.
#pragma once

#include <string_view>

namespace swarm::control {

/// [domain[:port]/]path[:tag][@digest], and file:///… for the root file systems of the process driver. Linear in time.
[[nodiscard]] bool is_image_reference(std::string_view text);

} // namespace swarm::control
