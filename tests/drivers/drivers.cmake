# The driver contract suite: one program, run once per driver so that each has its own labels.
file(GLOB contract CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/drivers/contract/*.cpp)
swarm_test(drivers_contract_test SOURCES ${contract} LINK swarm_driver_docker swarm_driver_simulated LABELS unit TIMEOUT 600)
set_tests_properties(drivers_contract_test PROPERTIES ENVIRONMENT "GTEST_FILTER=simulated/*")
add_test(NAME drivers_contract_docker_test COMMAND drivers_contract_test)
set_tests_properties(drivers_contract_docker_test PROPERTIES LABELS "docker" TIMEOUT 900 RESOURCE_LOCK acceptance
  ENVIRONMENT "GTEST_FILTER=*docker*")
target_compile_definitions(swarm_test_support PRIVATE SWARM_SOURCE_DIR="${CMAKE_SOURCE_DIR}") # test_engine runs a script
