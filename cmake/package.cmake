# The Debian package: `cpack -G DEB` in the build folder (scripts/package). All components in one; what it depends on is found by
# dpkg-shlibdeps. The version is the project's.
set(CPACK_PACKAGE_NAME cytodet)
set(CPACK_PACKAGE_CONTACT "the developers of cytodet <cytodet@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Finds cells on images and whole slides, on an ordinary CPU")
set(CPACK_PACKAGE_DESCRIPTION "cytodet runs TensorFlow and ONNX detectors on images and gigapixel slides: it rewrites the graph,
turns it into 8 bits, finds cells, and scores the result as COCO does. The package holds the
program, the library libcytodet with its headers, and the shipped models.")
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_DEBUGINFO_PACKAGE OFF)
include(CPack)
