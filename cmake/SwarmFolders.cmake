# How a folder becomes a library. Sources are found by glob; a folder without sources becomes an
# interface library, so that dependants can name it before it has code.

find_package(Sodium REQUIRED)

function(swarm_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
  if(ARG_SOURCES)
    add_library(${name} STATIC ${ARG_SOURCES})
    target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${ARG_LINK})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${CMAKE_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ARG_LINK})
  endif()
endfunction()

# Splits a folder's sources into shells (CAF) and the rest (pure).
function(swarm_split folder shells_out pure_out)
  file(GLOB all CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cpp)
  set(shells ${all})
  list(FILTER shells INCLUDE REGEX "_(actor|sup)\\.cpp$")
  set(pure ${all})
  list(FILTER pure EXCLUDE REGEX "_(actor|sup)\\.cpp$")
  set(${shells_out} ${shells} PARENT_SCOPE)
  set(${pure_out} ${pure} PARENT_SCOPE)
endfunction()

# Compiling CAF's headers costs two seconds per file; sharing them costs nothing.
function(swarm_use_caf target)
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "INTERFACE_LIBRARY")
    return()
  endif()
  target_link_libraries(${target} PUBLIC swarm_runtime)
  target_precompile_headers(${target} REUSE_FROM swarm_runtime)
endfunction()

function(swarm_messages)
  file(GLOB protos CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/messages/*.proto)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/messages/*.cpp)
  set(out ${CMAKE_BINARY_DIR}/generated)
  file(MAKE_DIRECTORY ${out})
  set(generated)
  foreach(proto IN LISTS protos)
    get_filename_component(stem ${proto} NAME_WE)
    add_custom_command(
      OUTPUT ${out}/messages/${stem}.pb.cc ${out}/messages/${stem}.pb.h
      COMMAND protobuf::protoc --cpp_out=${out} -I ${CMAKE_SOURCE_DIR} ${proto}
      DEPENDS ${protos}
      COMMENT "protoc ${stem}.proto" VERBATIM)
    list(APPEND generated ${out}/messages/${stem}.pb.cc)
  endforeach()
  add_library(swarm_protos STATIC ${generated})
  target_include_directories(swarm_protos SYSTEM PUBLIC ${out})
  target_link_libraries(swarm_protos PUBLIC protobuf::libprotobuf)
  target_compile_options(swarm_protos PRIVATE -w)
  swarm_library(swarm_messages SOURCES ${sources} LINK swarm_protos)
endfunction()

# runtime/*.cpp that name CAF (listed) -> swarm_runtime; everything else -> swarm_base, which links no CAF.
function(swarm_runtime)
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/runtime/*.cpp)
  set(with_caf ${all})
  list(FILTER with_caf INCLUDE REGEX "_(actor|sup)\\.cpp$|/(tap|status|registry|supervisor|shutdown|observed|system|log_actor)\\.cpp$")
  set(plain ${all})
  if(with_caf)
    list(REMOVE_ITEM plain ${with_caf})
  endif()
  swarm_library(swarm_base SOURCES ${plain}
    LINK swarm_messages LMDB::lmdb Sodium::sodium OpenSSL::SSL OpenSSL::Crypto Boost::headers spdlog::spdlog Threads::Threads)
  swarm_library(swarm_runtime SOURCES ${with_caf} LINK swarm_base CAF::core)
  get_target_property(type swarm_runtime TYPE)
  if(NOT type STREQUAL "INTERFACE_LIBRARY")
    target_precompile_headers(swarm_runtime PUBLIC <caf/all.hpp>)
  endif()
endfunction()

function(swarm_actor_folder folder)
  swarm_split(actors/${folder} shells pure)
  swarm_library(swarm_${folder}_core SOURCES ${pure} LINK swarm_base)
  swarm_library(swarm_${folder} SOURCES ${shells} LINK swarm_${folder}_core swarm_runtime)
  swarm_use_caf(swarm_${folder})
endfunction()

function(swarm_drivers)
  swarm_split(drivers shells pure)
  swarm_library(swarm_driver_core SOURCES ${pure} LINK swarm_base)
  foreach(driver IN LISTS ARGN)
    file(GLOB all CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/drivers/${driver}/*.cpp)
    set(shells ${all})
    list(FILTER shells INCLUDE REGEX "_(actor|driver)\\.cpp$")
    set(pure ${all})
    list(FILTER pure EXCLUDE REGEX "_(actor|driver)\\.cpp$")
    swarm_library(swarm_driver_${driver}_core SOURCES ${pure} LINK swarm_driver_core)
    swarm_library(swarm_driver_${driver} SOURCES ${shells} LINK swarm_driver_${driver}_core swarm_runtime)
    swarm_use_caf(swarm_driver_${driver})
  endforeach()
endfunction()

# actors/node builds the tree out of everything, so it may link everything.
function(swarm_node_folder)
  file(GLOB all CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/actors/node/*.cpp)
  swarm_library(swarm_node SOURCES ${all} LINK
    swarm_raft swarm_storage swarm_store swarm_control swarm_orchestrator swarm_scheduler swarm_allocator
    swarm_dispatcher swarm_ca swarm_manager swarm_agent swarm_network swarm_logs swarm_gateway swarm_introspect swarm_links
    swarm_driver_docker swarm_driver_process swarm_driver_simulated swarm_driver_plugin)
  swarm_use_caf(swarm_node)
endfunction()

# apps/X: main.cpp -> the program X; its other sources -> swarm_app_X, so that tests can link them.
function(swarm_apps)
  file(GLOB apps RELATIVE ${CMAKE_SOURCE_DIR}/apps CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/apps/*)
  foreach(app IN LISTS apps)
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/apps/${app}/main.cpp)
      continue()
    endif()
    file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/apps/${app}/*.cpp)
    list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
    string(REPLACE "-" "_" id ${app})
    # The shim runs once per task: it links its own few files and nothing of the actor system.
    if(app STREQUAL "swarm-task-shim")
      swarm_library(${id}_lib SOURCES ${sources} LINK swarm_driver_process_core util)
    else()
      swarm_library(${id}_lib SOURCES ${sources} LINK swarm_node)
    endif()
    add_executable(${app} apps/${app}/main.cpp)
    target_link_libraries(${app} PRIVATE ${id}_lib)
    # Messages are made on one thread and freed on another, which the C library's allocator pays for with locks and system
    # calls; see docs/benchmarks.md. Nothing names the library: it takes malloc's place by being linked.
    if(app STREQUAL "swarm-node" AND NOT SWARM_SANITIZE)
      target_link_libraries(${app} PRIVATE -Wl,--push-state,--no-as-needed mimalloc -Wl,--pop-state)
    endif()
    install(TARGETS ${app} RUNTIME DESTINATION bin)
  endforeach()
endfunction()
