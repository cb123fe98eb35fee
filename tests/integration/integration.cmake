# Acceptance tests with real processes. They need root; each has a network namespace and, with label docker, an engine
# of its own. SWARM_SKIP_DOCKER=1 in the environment skips the ones that need an engine.
find_package(Python3 COMPONENTS Interpreter REQUIRED)

# swarm_acceptance(NAME SCRIPT SECONDS LABELS...): the script ends itself in time to clean up.
# SCRIPT may be a list: the file and its arguments.
function(swarm_acceptance name script seconds)
  list(POP_FRONT script file)
  add_test(NAME ${name} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_SOURCE_DIR}/tests/integration/${file} ${script})
  math(EXPR limit "${seconds} + 60")
  set_tests_properties(${name} PROPERTIES LABELS "${ARGN}" TIMEOUT ${limit} SKIP_RETURN_CODE 77
    ENVIRONMENT "SWARM_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};SWARM_TEST_SECONDS=${seconds}"
    RESOURCE_LOCK acceptance) # they measure time and share two cores: one after the other
endfunction()

if(EXISTS ${CMAKE_SOURCE_DIR}/apps/swarm-node/main.cpp)
  swarm_acceptance(acceptance_services services_test.py 840 "docker;integration")
  swarm_acceptance(acceptance_stacks stacks_test.py 400 "docker;integration")
  swarm_acceptance(acceptance_stack_hosts stack_hosts_test.py 400 "docker;integration")
  swarm_acceptance(acceptance_registry registry_test.py 120 "docker;integration")
  swarm_acceptance(acceptance_resources resources_test.py 120 "docker;integration")
  swarm_acceptance(acceptance_secret_drivers secret_drivers_test.py 300 "docker;integration")
  swarm_acceptance(acceptance_passthrough passthrough_test.py 400 "docker;integration")
  swarm_acceptance(acceptance_lifecycle lifecycle_test.py 800 "docker;integration")
  swarm_acceptance(acceptance_process process_test.py 300 "integration")
  swarm_acceptance(acceptance_hosts hosts_test.py 300 "integration")
  swarm_acceptance(acceptance_recovery recovery_test.py 300 "integration")
  swarm_acceptance(acceptance_history history_test.py 60 "integration")
  swarm_acceptance(acceptance_chaos "chaos.py;--minutes;1;--seed;1;--long;0;--out;${CMAKE_BINARY_DIR}/chaos" 400 "integration")
endif()
