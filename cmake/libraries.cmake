# Debian's own package configuration of oneDNN asks for OpenCL's headers, which a CPU user does not need.
find_path(DNNL_INCLUDE_DIR dnnl.hpp REQUIRED)
find_library(DNNL_LIBRARY dnnl REQUIRED)
add_library(cytodet::dnnl INTERFACE IMPORTED GLOBAL)
target_include_directories(cytodet::dnnl INTERFACE ${DNNL_INCLUDE_DIR})
# oneDNN's threads are those of libgomp, whose number is set through it; a second OpenMP library (clang's) would set its own.
target_link_libraries(cytodet::dnnl INTERFACE ${DNNL_LIBRARY} gomp)

# OpenCV's own package configuration comes only with all of OpenCV; core and imgproc are what is used.
find_path(OPENCV_INCLUDE_DIR opencv2/imgproc.hpp PATH_SUFFIXES opencv4 REQUIRED)
find_library(OPENCV_CORE opencv_core REQUIRED)
find_library(OPENCV_IMGPROC opencv_imgproc REQUIRED)
add_library(cytodet::opencv INTERFACE IMPORTED GLOBAL)
target_include_directories(cytodet::opencv INTERFACE ${OPENCV_INCLUDE_DIR})
target_link_libraries(cytodet::opencv INTERFACE ${OPENCV_IMGPROC} ${OPENCV_CORE})
