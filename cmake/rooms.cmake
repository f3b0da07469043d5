# A room is one folder: a static library cytodet_<room> of its sources, seen by others as "room/header.h".
add_library(cytodet_flags INTERFACE)
target_compile_options(cytodet_flags INTERFACE -Wall -Wextra -Wshadow -Wno-missing-field-initializers -Wno-restrict)
target_include_directories(cytodet_flags INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
if(CYTODET_SANITIZE)
  target_compile_options(cytodet_flags INTERFACE -fsanitize=${CYTODET_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(cytodet_flags INTERFACE -fsanitize=${CYTODET_SANITIZE})
endif()

# Programs beside the rooms (tests, fuzzers, benches) see the names of all rooms.
add_library(cytodet_all_rooms INTERFACE)
target_compile_options(cytodet_all_rooms INTERFACE "SHELL:-include ${CMAKE_SOURCE_DIR}/tests/rooms.h")

set_property(GLOBAL PROPERTY CYTODET_ROOMS "")

# cytodet_room(name FOLDERS folders... LINK libs... PRIVATE libs... OPTIMIZE level): globs *.cpp of this folder and its sub-folders,
# or of these folders alone. OPTIMIZE: the level of a release build, where the usual -O3 makes compiling slower and nothing else
# faster.
function(cytodet_room name)
  cmake_parse_arguments(ROOM "" "OPTIMIZE" "FOLDERS;LINK;PRIVATE" ${ARGN})
  set(patterns ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(ROOM_FOLDERS)
    list(TRANSFORM ROOM_FOLDERS REPLACE "(.+)" "${CMAKE_CURRENT_SOURCE_DIR}/\\1/*.cpp" OUTPUT_VARIABLE patterns)
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${patterns})
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(sources OR ${name} STREQUAL "graph")
    add_library(cytodet_${name} STATIC ${sources})
    target_link_libraries(cytodet_${name} PUBLIC ${ROOM_LINK} PRIVATE ${ROOM_PRIVATE} cytodet_flags)
    target_include_directories(cytodet_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
    if(ROOM_OPTIMIZE)
      target_compile_options(cytodet_${name} PRIVATE $<$<CONFIG:Release>:${ROOM_OPTIMIZE}>)
    endif()
    set_property(GLOBAL APPEND PROPERTY CYTODET_ROOMS cytodet_${name})
  else()
    add_library(cytodet_${name} INTERFACE)
    target_link_libraries(cytodet_${name} INTERFACE ${ROOM_LINK})
    set_property(GLOBAL APPEND PROPERTY CYTODET_ROOMS cytodet_${name})
    target_include_directories(cytodet_${name} INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
  endif()
endfunction()

# cytodet_test(room LINK libs...): tests/<room>/*.cpp become one program test_<room>.
function(cytodet_test name)
  cmake_parse_arguments(TEST "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE cytodet_flags cytodet_all_rooms test_paths ${TEST_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_options(test_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  gtest_discover_tests(test_${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300 LABELS ${name})
endfunction()
