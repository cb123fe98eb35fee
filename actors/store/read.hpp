// Answers ReadObjects from the tables: lookups, filters, joins.
#pragma once

#include "actors/store/tables.hpp"
#include "messages/control.pb.h"
#include "messages/errors.hpp"

namespace swarm::store {

/// See core::read.
[[nodiscard]] failure read_objects(const tables& state, const ReadObjects& request, ObjectsRead& out);

/// "web.2.<id>", or "web.<node id>.<id>" for a task without slot; the service id where the service is gone.
[[nodiscard]] std::string full_name(const tables& state, row_index row);

/// Running, desired and completed tasks, counted as behaviour §4.4 says.
[[nodiscard]] ServiceStatus service_status(const tables& state, const Service& service);

} // namespace swarm::store
