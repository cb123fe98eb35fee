# The version that --version prints, and what a .deb holds besides the programs.
set_source_files_properties(${CMAKE_SOURCE_DIR}/runtime/config.cpp PROPERTIES
  COMPILE_DEFINITIONS SWARM_VERSION="${PROJECT_VERSION}")
