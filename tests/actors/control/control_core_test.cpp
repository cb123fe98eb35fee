// From requests to Commands: every refusal of behaviour §1.11 that CONTROL makes, names, defaults, credentials, warnings.
#include "actors/control/control_core.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "tests/support/builders.hpp"

namespace swarm {
namespace {

using namespace test;

struct fixture : testing::Test {
  control::options options() {
    control::options out;
    out.rotate_join_tokens = [](Cluster& c, bool worker, bool manager) {
      auto& tokens = *c.mutable_root_ca()->mutable_join_tokens();
      if (worker)
        tokens.set_worker("fresh worker");
      if (manager)
        tokens.set_manager("fresh manager");
    };
    out.make_unlock_key = [] { return std::string(32, 'k'); };
    return out;
  }
  control::core core{options(), random_source{1}};

  fixture() {
    StoreSnapshot s;
    auto& service = *s.add_services();
    service.set_id(nth_id(1));
    *service.mutable_spec() = service_spec("web");
    service.mutable_spec()->mutable_task_template()->mutable_container_spec()->set_registry_auth("stored");
    *service.mutable_previous_spec() = service_spec("web");
    service.mutable_previous_spec()->mutable_task_template()->mutable_container_spec()->set_registry_auth("older");
    *s.add_nodes() = node(nth_id(1, 3), "h1", NODE_ROLE_MANAGER);
    *s.add_nodes() = node(nth_id(2, 3), "twin");
    *s.add_nodes() = node(nth_id(3, 3), "twin");
    auto& net = *s.add_networks();
    net.set_id(nth_id(1, 4));
    net.mutable_spec()->set_name("back");
    auto& ingress = *s.add_networks();
    ingress.set_id(nth_id(2, 4));
    ingress.mutable_spec()->set_name("ingress");
    ingress.mutable_spec()->set_ingress(true);
    auto& secret = *s.add_secrets();
    secret.set_id(nth_id(1, 5));
    secret.mutable_spec()->set_name("sec");
    s.mutable_cluster()->set_id("cluster");
    s.mutable_cluster()->mutable_spec()->set_name("default");
    core.reset(s);
  }

  control::outcome create(ServiceSpec spec, const std::string& auth = {}) {
    ControlRequest request;
    *request.mutable_create_service()->mutable_spec() = std::move(spec);
    request.mutable_create_service()->set_registry_auth(auth);
    return core.handle(std::move(request), 5);
  }
  control::outcome update(std::function<void(UpdateService&)> change) {
    ControlRequest request;
    auto& u = *request.mutable_update_service();
    u.set_service_id("web");
    u.set_version(7);
    *u.mutable_spec() = service_spec("web");
    change(u);
    return core.handle(std::move(request), 5);
  }
  static const ServiceSpec& put_spec(const control::outcome& o) { return o.command->actions(0).put_service().service().spec(); }
};

using control_core_test = fixture;

// -- the catalogue of refusals ---------------------------------------------------------------------------------------------

struct bad_service {
  const char* what;
  std::function<void(ServiceSpec&)> spoil;
  errc code;
  bool plain;
  const char* text;
};

TaskSpec& task_of(ServiceSpec& s) { return *s.mutable_task_template(); }
ContainerSpec& container_of(ServiceSpec& s) { return *task_of(s).mutable_container_spec(); }
void add_mount(ServiceSpec& s, const char* target, const char* source = "/src") {
  auto& m = *container_of(s).add_mounts();
  m.set_type(MOUNT_TYPE_BIND);
  m.set_target(target);
  m.set_source(source);
}

CredentialSpec& credential_of(ServiceSpec& s) { return *container_of(s).mutable_privileges()->mutable_credential_spec(); }

const std::vector<bad_service> catalogue{
  {"no spec of the task", [](auto& s) { s.mutable_task_template()->clear_container_spec(); }, errc::invalid_argument, true,
   "mismatched Runtime and *Spec fields"},
  {"plugin runtime with a container", [](auto& s) { task_of(s).set_runtime("plugin"); }, errc::invalid_argument, true,
   "mismatched Runtime and *Spec fields"},
  {"unknown runtime", [](auto& s) { task_of(s).set_runtime("vm"); }, errc::invalid_argument, true, "unsupported runtime"},
  {"no image", [](auto& s) { container_of(s).set_image(""); }, errc::invalid_argument, false,
   "ContainerSpec: image reference must be provided"},
  {"bad image", [](auto& s) { container_of(s).set_image("BAD image"); }, errc::invalid_argument, false,
   "ContainerSpec: \"BAD image\" is not a valid repository/tag"},
  {"bad name", [](auto& s) { s.set_name("a b"); }, errc::invalid_argument, false,
   "name must be valid as a DNS name component"},
  {"name with a dash at its end", [](auto& s) { s.set_name("a-"); }, errc::invalid_argument, false,
   "name must be valid as a DNS name component"},
  {"long name", [](auto& s) { s.set_name(std::string(64, 'a')); }, errc::invalid_argument, false,
   "name must be 63 characters or fewer"},
  {"two modes", [](auto& s) { s.mutable_mode()->mutable_global(); }, errc::invalid_argument, true,
   "must specify only one service mode"},
  {"job with update config",
   [](auto& s) {
     s.mutable_mode()->Clear();
     s.mutable_mode()->mutable_global_job();
     s.mutable_update_config();
   },
   errc::invalid_argument, false, "Jobs may not have an update config"},
  {"mounts on one target",
   [](auto& s) {
     add_mount(s, "/x");
     add_mount(s, "/x");
   },
   errc::invalid_argument, false, "ContainerSpec: duplicate mount point: /x"},
  {"negative restart delay", [](auto& s) { task_of(s).mutable_restart_policy()->set_delay(-1); }, errc::invalid_argument,
   false, "TaskSpec: restart-delay cannot be negative"},
  {"negative restart window", [](auto& s) { task_of(s).mutable_restart_policy()->set_window(-1); }, errc::invalid_argument,
   false, "TaskSpec: restart-window cannot be negative"},
  {"negative update delay", [](auto& s) { s.mutable_update_config()->set_delay(-1); }, errc::invalid_argument, false,
   "TaskSpec: update-delay cannot be negative"},
  {"negative monitor", [](auto& s) { s.mutable_rollback_config()->set_monitor(-1); }, errc::invalid_argument, false,
   "TaskSpec: update-monitor cannot be negative"},
  {"ratio above one", [](auto& s) { s.mutable_update_config()->set_max_failure_ratio(1.5f); }, errc::invalid_argument, false,
   "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1"},
  {"ratio that is no number", [](auto& s) { s.mutable_update_config()->set_max_failure_ratio(NAN); }, errc::invalid_argument,
   false, "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1"},
  {"little cpu", [](auto& s) { task_of(s).mutable_resources()->mutable_limits()->set_nano_cpus(1); }, errc::invalid_argument,
   false, "invalid cpu value 1e-09: Must be at least 0.001"},
  {"little memory", [](auto& s) { task_of(s).mutable_resources()->mutable_reservations()->set_memory_bytes(1); },
   errc::invalid_argument, false, "invalid memory value 1: Must be at least 4MiB"},
  {"swap alone", [](auto& s) { task_of(s).mutable_resources()->set_swap_bytes(5); }, errc::invalid_argument, false,
   "memory swap provided, but no memory-limit was set"},
  {"constraint without operator", [](auto& s) { task_of(s).mutable_placement()->add_constraints("node.role"); },
   errc::internal, false, "constraint expected one operator from ==, !="},
  {"constraint key", [](auto& s) { task_of(s).mutable_placement()->add_constraints("1x==y"); }, errc::internal, false,
   "key '1x' is invalid"},
  {"constraint value", [](auto& s) { task_of(s).mutable_placement()->add_constraints("node.role==a;b"); }, errc::internal,
   false, "value 'a;b' is invalid"},
  {"missing network", [](auto& s) { task_of(s).add_networks()->set_target("nope"); }, errc::internal, true,
   "network nope not found"},
  {"ingress network", [](auto& s) { task_of(s).add_networks()->set_target("ingress"); }, errc::invalid_argument, false,
   "Service cannot be explicitly attached to the ingress network \"ingress\""},
  {"one port twice",
   [](auto& s) {
     publish(s, 80, 80);
     publish(s, 80, 81);
   },
   errc::invalid_argument, false, "EndpointSpec: duplicate published ports provided"},
  {"ingress port with dnsrr",
   [](auto& s) {
     publish(s, 80, 80);
     s.mutable_endpoint_spec()->set_mode(ENDPOINT_MODE_DNSRR);
   },
   errc::invalid_argument, false, "EndpointSpec: port published with ingress mode can't be used with dnsrr mode"},
  {"absurd replicas", [](auto& s) { s.mutable_mode()->mutable_replicated()->set_replicas(10'000'001); }, errc::invalid_argument, false,
   "Number of replicas must be at most 10000000"},
  {"absurd job",
   [](auto& s) {
     s.mutable_mode()->Clear();
     s.mutable_mode()->mutable_replicated_job()->set_max_concurrent(1);
     s.mutable_mode()->mutable_replicated_job()->set_total_completions(10'000'001);
   },
   errc::invalid_argument, false, "Total completed jobs must be at most 10000000"},
  {"port above 65535", [](auto& s) { publish(s, 70000, 80); }, errc::invalid_argument, false,
   "EndpointSpec: port 70000 is out of range (1-65535)"},
  {"secret without id", [](auto& s) { use_secret(s, "", "a"); }, errc::invalid_argument, false,
   "malformed secret reference"},
  {"secret without target",
   [](auto& s) { use_secret(s, "i", "a").mutable_file()->set_name(""); }, errc::invalid_argument, false,
   "malformed file secret reference, invalid target file name provided"},
  {"secrets with one target",
   [](auto& s) {
     use_secret(s, "i", "a").mutable_file()->set_name("t");
     use_secret(s, "j", "b").mutable_file()->set_name("t");
   },
   errc::invalid_argument, false, "secret references 'a' and 'b' have a conflicting target: 't'"},
  {"config without id", [](auto& s) { use_config(s, "", "a"); }, errc::invalid_argument, false,
   "malformed config reference"},
  {"config for nothing", [](auto& s) { use_config(s, "i", "a").clear_file(); }, errc::invalid_argument, true,
   "invalid Config: either File or Runtime should be set"},
  {"config for both", [](auto& s) { use_config(s, "i", "a").mutable_runtime(); }, errc::invalid_argument, true,
   "invalid Config: cannot specify both File and Runtime"},
  {"short health interval", [](auto& s) { container_of(s).mutable_healthcheck()->set_interval(999'999); },
   errc::invalid_argument, false, "ContainerSpec: Interval in HealthConfig cannot be less than 1ms"},
  {"short health timeout", [](auto& s) { container_of(s).mutable_healthcheck()->set_timeout(1); }, errc::invalid_argument,
   false, "ContainerSpec: Timeout in HealthConfig cannot be less than 1ms"},
  {"short start period", [](auto& s) { container_of(s).mutable_healthcheck()->set_start_period(1); }, errc::invalid_argument,
   false, "ContainerSpec: StartPeriod in HealthConfig cannot be less than 1ms"},
  {"short start interval", [](auto& s) { container_of(s).mutable_healthcheck()->set_start_interval(1); },
   errc::invalid_argument, false, "ContainerSpec: StartInterval in HealthConfig cannot be less than 1ms"},
  {"negative retries", [](auto& s) { container_of(s).mutable_healthcheck()->set_retries(-1); }, errc::invalid_argument, false,
   "ContainerSpec: Retries in HealthConfig cannot be negative"},
  {"more retries than 32 bits hold", [](auto& s) { container_of(s).mutable_healthcheck()->set_retries(std::int64_t{1} << 31); },
   errc::invalid_argument, false, "ContainerSpec: Retries in HealthConfig cannot be negative"},
  {"credential spec of nothing", [](auto& s) { credential_of(s); }, errc::invalid_argument, true,
   "invalid CredentialSpec: must either provide \"file\", \"registry\", or \"config\" for credential spec"},
  {"credential spec of config and file",
   [](auto& s) {
     credential_of(s).set_config("c");
     credential_of(s).set_file("f");
   },
   errc::invalid_argument, true, "invalid CredentialSpec: cannot specify both \"config\" and \"file\" credential specs"},
  {"credential spec of file and registry",
   [](auto& s) {
     credential_of(s).set_registry("r");
     credential_of(s).set_file("f");
   },
   errc::invalid_argument, true, "invalid CredentialSpec: cannot specify both \"file\" and \"registry\" credential specs"},
  {"credential spec of a config that is not for the runtime",
   [](auto& s) {
     credential_of(s).set_config("c");
     auto& config = *container_of(s).add_configs();
     config.set_config_id("c");
     config.set_config_name("n");
     config.mutable_file()->set_name("f");
   },
   errc::invalid_argument, false,
   "CredentialSpec references config 'c', but that config isn't in config references with RuntimeTarget"},
  {"mount propagation",
   [](auto& s) {
     add_mount(s, "/x", "/y");
     container_of(s).mutable_mounts(0)->mutable_bind_options()->set_propagation("foo");
   },
   errc::invalid_argument, true, "invalid MountPropagation: \"foo\""},
  {"hostname template", [](auto& s) { container_of(s).set_hostname("{{.Foo}}"); }, errc::invalid_argument, false,
   "expanding hostname failed: template: expansion:1:2: executing \"expansion\" at <.Foo>: can't evaluate field Foo in type "
   "*template.Context"},
  {"env template", [](auto& s) { container_of(s).add_env("A={{.Node.ID"); }, errc::invalid_argument, false,
   "expanding env failed: expanding env \"A={{.Node.ID\": template: expansion:1: unclosed action"},
  {"unknown field of a node", [](auto& s) { container_of(s).add_env("A={{.Node.Nonsense}}"); }, errc::invalid_argument, false,
   "expanding env failed: expanding env \"A={{.Node.Nonsense}}\": template: expansion:1:7: executing \"expansion\" at "
   "<.Node.Nonsense>: can't evaluate field Nonsense in type struct { ID string; Hostname string; Platform template.Platform }"},
  {"mount template", [](auto& s) { add_mount(s, "/x", "/{{frob}}"); }, errc::invalid_argument, false,
   "expanding mounts failed: expanding mount source \"/{{frob}}\": template: expansion:1: function \"frob\" not defined"},
  {"negative replicas", [](auto& s) { s.mutable_mode()->mutable_replicated()->set_replicas(~0ull); }, errc::invalid_argument,
   false, "Number of replicas must be non-negative"},
  {"negative concurrency",
   [](auto& s) {
     s.mutable_mode()->Clear();
     s.mutable_mode()->mutable_replicated_job()->set_max_concurrent(~0ull);
   },
   errc::invalid_argument, false, "Maximum concurrent jobs must not be negative"},
  {"negative completions",
   [](auto& s) {
     s.mutable_mode()->Clear();
     s.mutable_mode()->mutable_replicated_job()->set_total_completions(~0ull);
   },
   errc::invalid_argument, false, "Total completed jobs must not be negative"},
};

TEST_F(control_core_test, a_variable_without_a_value_is_no_template) {
  auto spec = service_spec("web");
  container_of(spec).add_env("{{.Nonsense}}");
  EXPECT_TRUE(create(spec).command);
}

TEST_F(control_core_test, every_bad_service_is_refused_in_swarms_words_at_create_and_at_update) {
  for (const auto& bad : catalogue) {
    auto spec = service_spec("web");
    bad.spoil(spec);
    const auto check = [&](const control::outcome& out, const char* when) {
      EXPECT_FALSE(out.command) << bad.what << " at " << when;
      EXPECT_EQ(static_cast<errc>(out.answer.code()), bad.code) << bad.what << " at " << when;
      EXPECT_EQ(out.answer.message(), bad.text) << bad.what << " at " << when;
      EXPECT_EQ(out.answer.plain(), bad.plain) << bad.what << " at " << when;
    };
    check(create(spec), "create");
    check(update([&](UpdateService& u) { *u.mutable_spec() = spec; }), "update");
  }
}

struct bad_request {
  const char* what;
  std::function<void(ControlRequest&)> make;
  errc code;
  bool plain;
  const char* text;
};

SecretSpec& secret_of(ControlRequest& r, const std::string& name, const std::string& data) {
  auto& spec = *r.mutable_create_secret()->mutable_spec();
  spec.set_name(name);
  spec.set_data(data);
  return spec;
}
NetworkSpec& network_of(ControlRequest& r, const std::string& name) {
  r.mutable_create_network()->mutable_spec()->set_name(name);
  return *r.mutable_create_network()->mutable_spec();
}
ClusterSpec& cluster_of(ControlRequest& r) {
  r.mutable_update_cluster()->mutable_spec()->set_name("default");
  return *r.mutable_update_cluster()->mutable_spec();
}
IPAMConfig& ipam_of(ControlRequest& r, const std::string& subnet) {
  auto& ipam = *network_of(r, "n").mutable_ipam()->add_config();
  ipam.set_subnet(subnet);
  return ipam;
}

const char* const bad_file_name =
  "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]";

const std::vector<bad_request> requests{
  {"nothing", [](auto&) {}, errc::invalid_argument, false, "invalid argument"},
  {"node role", [](auto& r) { r.mutable_update_node()->mutable_spec()->set_availability(NODE_AVAILABILITY_ACTIVE); },
   errc::invalid_argument, true, "invalid Role: \"\""},
  {"node availability", [](auto& r) { r.mutable_update_node()->mutable_spec()->set_role(NODE_ROLE_WORKER); },
   errc::invalid_argument, true, "invalid Availability: \"\""},
  {"unknown node", [](auto& r) { r.mutable_remove_node()->set_node_id("x"); }, errc::not_found, true, "node x not found"},
  {"ambiguous hostname", [](auto& r) { r.mutable_remove_node()->set_node_id("twin"); }, errc::invalid_argument, true,
   "node twin is ambiguous (2 matches found)"},
  {"unknown service", [](auto& r) { r.mutable_remove_service()->set_service_id("x"); }, errc::not_found, true,
   "service x not found"},
  {"empty key", [](auto& r) { r.mutable_remove_service(); }, errc::not_found, true, "service  not found"},
  {"unknown service to update", [](auto& r) { r.mutable_update_service()->set_service_id("x"); }, errc::not_found, true,
   "service x not found"},
  {"unknown secret", [](auto& r) { r.mutable_remove_secret()->set_secret_id("x"); }, errc::not_found, true,
   "secret x not found"},
  {"unknown config", [](auto& r) { r.mutable_update_config()->set_config_id("x"); }, errc::not_found, true,
   "config x not found"},
  {"secret without name", [](auto& r) { secret_of(r, "", "d"); }, errc::invalid_argument, false, "name must be provided"},
  {"secret name", [](auto& r) { secret_of(r, ".a", "d"); }, errc::invalid_argument, false, bad_file_name},
  {"long secret name", [](auto& r) { secret_of(r, std::string(65, 'a'), "d"); }, errc::invalid_argument, false, bad_file_name},
  {"empty secret", [](auto& r) { secret_of(r, "a", ""); }, errc::invalid_argument, false,
   "secret data must be larger than 0 and less than 512000 bytes"},
  {"large secret", [](auto& r) { secret_of(r, "a", std::string(512000, 'x')); }, errc::invalid_argument, false,
   "secret data must be larger than 0 and less than 512000 bytes"},
  {"driver secret with data", [](auto& r) { secret_of(r, "a", "d").mutable_driver()->set_name("v"); }, errc::invalid_argument,
   false, "secret data must be empty when a driver is given"},
  {"driver without name", [](auto& r) { secret_of(r, "a", "").mutable_driver(); }, errc::invalid_argument, false,
   "secret driver must have a name"},
  {"large config",
   [](auto& r) {
     r.mutable_create_config()->mutable_spec()->set_name("a");
     r.mutable_create_config()->mutable_spec()->set_data(std::string(1024000, 'x'));
   },
   errc::invalid_argument, false, "config data must be larger than 0 and less than 1024000 bytes"},
  {"predefined network", [](auto& r) { network_of(r, "host"); }, errc::permission_denied, true,
   "operation is not permitted on predefined host network "},
  {"network name default", [](auto& r) { network_of(r, "default"); }, errc::permission_denied, true,
   "operation is not permitted on predefined default network "},
  {"network name", [](auto& r) { network_of(r, "a/b"); }, errc::invalid_argument, false,
   "name must be valid as a DNS name component"},
  {"attachable ingress",
   [](auto& r) {
     auto& n = network_of(r, "n");
     n.set_ingress(true);
     n.set_attachable(true);
   },
   errc::invalid_argument, false, "ingress network cannot be attachable"},
  {"subnet", [](auto& r) { ipam_of(r, "10.0.0.0/33"); }, errc::invalid_argument, false,
   "ipam configuration: invalid subnet 10.0.0.0/33"},
  {"range", [](auto& r) { ipam_of(r, "10.0.0.0/24").set_ip_range("x"); }, errc::invalid_argument, false,
   "ipam configuration: invalid range x"},
  {"range outside", [](auto& r) { ipam_of(r, "10.0.0.0/24").set_ip_range("10.0.1.0/28"); }, errc::invalid_argument, false,
   "ipam configuration: subnet 10.0.0.0/24 does not contain range 10.0.1.0/28"},
  {"gateway", [](auto& r) { ipam_of(r, "10.0.0.0/24").set_gateway("10.0.0"); }, errc::invalid_argument, false,
   "ipam configuration: invalid gateway 10.0.0"},
  {"gateway outside", [](auto& r) { ipam_of(r, "fd00::/64").set_gateway("10.0.0.1"); }, errc::invalid_argument, false,
   "ipam configuration: subnet fd00::/64 does not contain gateway 10.0.0.1"},
  {"other driver", [](auto& r) { network_of(r, "n").set_driver("macvlan"); }, errc::unimplemented, true,
   "networks of swarm scope are made by the overlay driver only in this version of swarm-node"},
  {"config-only", [](auto& r) { network_of(r, "n").set_config_only(true); }, errc::unimplemented, true,
   "networks of swarm scope are made by the overlay driver only in this version of swarm-node"},
  {"ipam driver", [](auto& r) { network_of(r, "n").mutable_ipam()->set_driver("x"); }, errc::unimplemented, true,
   "ipam driver x is not available on networks of swarm scope: only default is"},
  {"encrypted", [](auto& r) { (*network_of(r, "n").mutable_options())["encrypted"] = ""; }, errc::unimplemented, true,
   "encrypted networks are not available in this version of swarm-node"},
  {"mtu", [](auto& r) { (*network_of(r, "n").mutable_options())["com.docker.network.driver.mtu"] = "9k"; }, errc::invalid_argument,
   false, "invalid value for option com.docker.network.driver.mtu: 9k"},
  {"ipv6 subnet", [](auto& r) { ipam_of(r, "fd00::/64"); }, errc::unimplemented, true,
   "subnet fd00::/64: networks of swarm scope have IPv4 addresses only in this version of swarm-node"},
  {"tiny subnet", [](auto& r) { ipam_of(r, "10.9.0.0/31"); }, errc::invalid_argument, false,
   "ipam configuration: subnet 10.9.0.0/31 has no room for a gateway and a task"},
  {"broadcast as gateway", [](auto& r) { ipam_of(r, "10.9.0.0/24").set_gateway("10.9.0.255"); }, errc::invalid_argument, false,
   "ipam configuration: gateway 10.9.0.255 is no host address of subnet 10.9.0.0/24"},
  {"auxiliary address", [](auto& r) { (*ipam_of(r, "10.9.0.0/24").mutable_auxiliary_addresses())["a"] = "10.8.0.1"; },
   errc::invalid_argument, false, "ipam configuration: subnet 10.9.0.0/24 does not contain auxiliary address 10.8.0.1"},
  {"removing host", [](auto& r) { r.mutable_remove_network()->set_network_id("host"); }, errc::permission_denied, true,
   "host is a pre-defined network and cannot be removed"},
  {"unknown network", [](auto& r) { r.mutable_remove_network()->set_network_id("x"); }, errc::not_found, true,
   "network x not found"},
  {"cluster name", [](auto& r) { cluster_of(r).set_name("mine"); }, errc::invalid_argument, true,
   "swarm spec must be named \"default\""},
  {"certificate expiry", [](auto& r) { cluster_of(r).mutable_ca_config()->set_node_cert_expiry(1); }, errc::invalid_argument,
   false, "minimum certificate expiry time is: 1h0m0s"},
  {"heartbeat", [](auto& r) { cluster_of(r).mutable_dispatcher()->set_heartbeat_period(-1); }, errc::invalid_argument, false,
   "heartbeat time period cannot be a negative duration"},
};

TEST_F(control_core_test, every_other_bad_request_is_refused_in_swarms_words) {
  for (const auto& bad : requests) {
    ControlRequest request;
    bad.make(request);
    const auto out = core.handle(request, 5);
    EXPECT_FALSE(out.command) << bad.what;
    EXPECT_EQ(static_cast<errc>(out.answer.code()), bad.code) << bad.what;
    EXPECT_EQ(out.answer.message(), bad.text) << bad.what;
    EXPECT_EQ(out.answer.plain(), bad.plain) << bad.what;
  }
}

TEST_F(control_core_test, ingress_ports_need_an_ingress_network_where_that_is_demanded) {
  auto opts = options();
  opts.require_ingress_network = true;
  control::core strict{opts, random_source{1}};
  ControlRequest request;
  *request.mutable_create_service()->mutable_spec() = service_spec("web");
  publish(*request.mutable_create_service()->mutable_spec(), 80, 80);
  const auto out = strict.handle(request, 5);
  EXPECT_EQ(static_cast<errc>(out.answer.code()), errc::failed_precondition);
  EXPECT_EQ(out.answer.message(), "service needs ingress network, but no ingress network is present");
}

TEST_F(control_core_test, a_change_that_does_not_fit_into_the_log_is_refused_with_its_size) {
  auto spec = service_spec("web");
  container_of(spec).add_env("A=" + std::string(2 << 20, 'x'));
  const auto out = create(spec);
  EXPECT_FALSE(out.command);
  EXPECT_NE(out.answer.message().find("more than the 1572864 that one change may have"), std::string::npos);
}

// -- what goes into a Command ----------------------------------------------------------------------------------------------

TEST_F(control_core_test, a_create_carries_a_fresh_id_the_time_the_defaults_and_the_credentials) {
  auto spec = service_spec("new");
  spec.clear_mode();
  const auto out = create(spec, "e30=");
  ASSERT_TRUE(out.command);
  EXPECT_EQ(out.command->proposed_at(), 5);
  EXPECT_EQ(out.command->machine_version(), 1u);
  EXPECT_EQ(out.answer.id().size(), 25u);
  EXPECT_EQ(out.command->actions(0).put_service().service().id(), out.answer.id());
  EXPECT_FALSE(out.command->actions(0).put_service().has_expected_version());
  EXPECT_EQ(put_spec(out).mode().replicated().replicas(), 1u);
  EXPECT_EQ(put_spec(out).task_template().runtime(), "container");
  EXPECT_EQ(put_spec(out).task_template().container_spec().registry_auth(), "e30=");
}

TEST_F(control_core_test, a_service_without_a_name_gets_two_words) {
  auto spec = service_spec("");
  const auto name = put_spec(create(spec)).name();
  EXPECT_NE(name.find('_'), std::string::npos);
  EXPECT_NE(put_spec(create(spec)).name(), name);
}

TEST_F(control_core_test, networks_become_ids_and_the_legacy_list_is_folded_in) {
  auto spec = service_spec("new");
  spec.add_networks()->set_target("back");
  const auto out = create(spec);
  ASSERT_TRUE(out.command) << out.answer.message();
  EXPECT_EQ(put_spec(out).networks_size(), 0);
  EXPECT_EQ(put_spec(out).task_template().networks(0).target(), nth_id(1, 4));
  auto host = service_spec("new");
  task_of(host).add_networks()->set_target("host");
  EXPECT_EQ(put_spec(create(host)).task_template().networks(0).target(), "host");
}

TEST_F(control_core_test, a_changed_legacy_list_of_networks_is_refused_at_update) {
  const auto out = update([](UpdateService& u) { u.mutable_spec()->add_networks()->set_target("back"); });
  EXPECT_EQ(static_cast<errc>(out.answer.code()), errc::unimplemented);
  EXPECT_EQ(out.answer.message(), "networks must be migrated to TaskSpec before being changed");
}

TEST_F(control_core_test, an_update_keeps_credentials_as_it_is_told) {
  const auto auth = [](const control::outcome& o) { return put_spec(o).task_template().container_spec().registry_auth(); };
  EXPECT_EQ(auth(update([](UpdateService&) {})), "stored");
  EXPECT_EQ(auth(update([](UpdateService& u) { u.set_auth_from_previous(true); })), "older");
  EXPECT_EQ(auth(update([](UpdateService& u) { u.set_registry_auth("new"); })), "new");
}

TEST_F(control_core_test, an_update_names_the_version_and_a_rollback_sends_no_spec) {
  const auto changed = update([](UpdateService&) {});
  EXPECT_EQ(changed.command->actions(0).put_service().expected_version(), 7u);
  EXPECT_EQ(changed.answer.id(), nth_id(1));
  const auto back = update([](UpdateService& u) { u.set_roll_back(true); });
  EXPECT_TRUE(back.command->actions(0).put_service().roll_back());
  EXPECT_FALSE(back.command->actions(0).put_service().service().has_spec());
}

TEST_F(control_core_test, objects_are_found_by_id_name_and_unique_prefix) {
  for (const auto& key : {nth_id(1), std::string{"web"}, nth_id(1).substr(0, 24)}) {
    ControlRequest request;
    request.mutable_remove_service()->set_service_id(key);
    const auto out = core.handle(request, 5);
    ASSERT_TRUE(out.command) << key;
    EXPECT_EQ(out.command->actions(0).remove_service().id(), nth_id(1)) << key;
  }
}

TEST_F(control_core_test, an_update_without_a_name_is_a_new_name_unless_something_else_is_wrong) {
  EXPECT_EQ(update([](UpdateService& u) { u.mutable_spec()->clear_name(); }).answer.message(), "renaming services is not supported");
  const auto out = update([](UpdateService& u) {
    u.mutable_spec()->clear_name();
    container_of(*u.mutable_spec()).clear_image();
  });
  EXPECT_EQ(out.answer.message(), "ContainerSpec: image reference must be provided");
}

TEST_F(control_core_test, what_another_runtime_would_use_is_dropped) {
  auto spec = service_spec("new");
  spec.mutable_task_template()->mutable_plugin_spec()->set_remote("x");
  spec.mutable_task_template()->mutable_network_attachment_spec()->set_container_id("x");
  const auto out = create(spec);
  ASSERT_TRUE(out.command) << out.answer.message();
  EXPECT_FALSE(put_spec(out).task_template().has_plugin_spec());
  EXPECT_FALSE(put_spec(out).task_template().has_network_attachment_spec());
}

TEST_F(control_core_test, the_view_follows_events) {
  EventBatch batch;
  auto& gone = *batch.add_services();
  gone.set_kind(CHANGE_KIND_REMOVED);
  gone.mutable_service()->set_id(nth_id(1));
  auto& network = *batch.add_networks();
  network.mutable_network()->set_id(nth_id(9, 4));
  network.mutable_network()->mutable_spec()->set_name("front");
  core.observe(batch);
  EXPECT_EQ(update([](UpdateService&) {}).answer.message(), "service web not found");
  auto spec = service_spec("new");
  task_of(spec).add_networks()->set_target("front");
  EXPECT_TRUE(create(spec).command);
}

TEST_F(control_core_test, updating_the_cluster_replaces_the_spec_whole_and_rotates_what_is_asked_for) {
  ControlRequest request;
  request.mutable_update_cluster()->set_version(3);
  request.mutable_update_cluster()->set_rotate_worker_token(true);
  cluster_of(request).mutable_encryption_config()->set_auto_lock_managers(true);
  const auto out = core.handle(request, 5);
  ASSERT_TRUE(out.command) << out.answer.message();
  const auto& put = out.command->actions(0).put_cluster();
  EXPECT_EQ(put.expected_version(), 3u);
  EXPECT_EQ(put.cluster().root_ca().join_tokens().worker(), "fresh worker");
  EXPECT_EQ(put.cluster().root_ca().join_tokens().manager(), "");
  EXPECT_EQ(put.cluster().unlock_key().size(), 32u);
  EXPECT_TRUE(put.cluster().spec().orchestration().has_task_history_retention_limit());
}

TEST_F(control_core_test, results_of_the_store_become_answers) {
  Written answer;
  answer.set_id("id");
  answer.add_warnings("w");
  CommandResult done;
  done.set_log_index(9);
  const auto good = control::core::conclude(answer, done);
  EXPECT_EQ(good.id(), "id");
  EXPECT_EQ(good.log_index(), 9u);
  EXPECT_EQ(good.warnings_size(), 1);
  done.set_code(static_cast<std::uint32_t>(errc::out_of_sequence));
  done.set_message("update out of sequence");
  EXPECT_FALSE(control::core::conclude(answer, done).plain());
  EXPECT_EQ(control::core::conclude(answer, done).message(), "update out of sequence");
  done.set_code(static_cast<std::uint32_t>(errc::not_found));
  EXPECT_TRUE(control::core::conclude(answer, done).plain());
}

} // namespace
} // namespace swarm
