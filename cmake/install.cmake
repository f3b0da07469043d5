# What is installed, by component: the program; the library; and for those who build on it, headers, CMake package and pkg-config file.
# The API is include/cytodet; headers of rooms are not installed, and the package needs no other.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/cytodet)

install(TARGETS cytodet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/efficientdet/ ${CMAKE_SOURCE_DIR}/models/classification/ DESTINATION ${CMAKE_INSTALL_DATADIR}/cytodet/models COMPONENT program
        FILES_MATCHING PATTERN "*.pb" PATTERN "*.json")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)

install(TARGETS cytodet_library EXPORT cytodetTargets
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/cytodet ${CMAKE_BINARY_DIR}/include/cytodet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT development FILES_MATCHING PATTERN "*.h")
install(EXPORT cytodetTargets NAMESPACE cytodet:: DESTINATION ${package_folder} COMPONENT development)
configure_package_config_file(cmake/cytodetConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/cytodetConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cytodetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cytodetConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cytodetConfigVersion.cmake
        DESTINATION ${package_folder} COMPONENT development)
# The prefix as seen from the file itself: the tree may be moved, or installed with --prefix.
file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" PC_PREFIX "\${pcfiledir}/${up}")
configure_file(cmake/cytodet.pc.in ${CMAKE_CURRENT_BINARY_DIR}/cytodet.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cytodet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
