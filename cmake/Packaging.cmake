# The version that --version prints, and what a .deb holds besides the programs.
set_source_files_properties(${CMAKE_SOURCE_DIR}/runtime/config.cpp PROPERTIES
  COMPILE_DEFINITIONS SWARM_VERSION="${PROJECT_VERSION}")

include(GNUInstallDirs)
install(FILES packaging/swarm-node.service DESTINATION lib/systemd/system)
install(FILES packaging/swarm-node.sysusers DESTINATION lib/sysusers.d RENAME swarm-node.conf)
install(FILES packaging/swarm-node.tmpfiles DESTINATION lib/tmpfiles.d RENAME swarm-node.conf)
install(FILES packaging/completions/swarm-node.bash DESTINATION share/bash-completion/completions RENAME swarm-node)
install(FILES packaging/man/swarm-node.8 DESTINATION share/man/man8)
install(FILES packaging/config.toml DESTINATION /etc/swarm-node)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME swarm-node)
set(CPACK_PACKAGE_VENDOR "swarm-node")
set(CPACK_PACKAGE_CONTACT "swarm-node maintainers <swarm-node@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Docker services on a host or a cluster, driven by the docker command line")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "docker.io | docker-ce")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  "${CMAKE_SOURCE_DIR}/packaging/deb/postinst;${CMAKE_SOURCE_DIR}/packaging/deb/prerm;${CMAKE_SOURCE_DIR}/packaging/deb/conffiles")
set(CPACK_STRIP_FILES ON)
include(CPack)
