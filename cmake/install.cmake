# One library target for other programs: find_package(cytodet), then link cytodet::cytodet.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
add_library(cytodet_library INTERFACE)
set_target_properties(cytodet_library PROPERTIES EXPORT_NAME cytodet)
target_link_libraries(cytodet_library INTERFACE cytodet_pipeline)
target_include_directories(cytodet_library INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/cytodet>)
target_compile_features(cytodet_library INTERFACE cxx_std_20)
add_library(cytodet::cytodet ALIAS cytodet_library)

get_property(rooms GLOBAL PROPERTY CYTODET_ROOMS)
install(TARGETS cytodet_library ${rooms} cytodet_flags EXPORT cytodetTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/cytodet)
install(TARGETS cytodet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(EXPORT cytodetTargets NAMESPACE cytodet:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cytodet)
foreach(room core graph exec quant eval tiling pipeline models)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/${room}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cytodet/${room}
          FILES_MATCHING PATTERN "*.h")
endforeach()
install(DIRECTORY ${CMAKE_SOURCE_DIR}/models/efficientdet/ DESTINATION ${CMAKE_INSTALL_DATADIR}/cytodet/models FILES_MATCHING PATTERN "*.pb" PATTERN "*.json")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
configure_package_config_file(cmake/cytodetConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/cytodetConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cytodet)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/cytodetConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/cytodetConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/cytodetConfigVersion.cmake cmake/libraries.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cytodet)
