# A room is one folder: a static library cytodet_<room> of its sources, seen by others as "room/header.h".
add_library(cytodet_flags INTERFACE)
target_compile_options(cytodet_flags INTERFACE -Wall -Wextra -Wshadow -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  target_compile_options(cytodet_flags INTERFACE -Wno-restrict)  # gcc 12 sees overlaps in any std::string + "text"
else()
  target_compile_options(cytodet_flags INTERFACE -Wno-unknown-pragmas)  # "GCC ivdep", a hint for vectors
endif()
if(CYTODET_WERROR)
  target_compile_options(cytodet_flags INTERFACE -Werror)
endif()
target_include_directories(cytodet_flags INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>)
if(CYTODET_SANITIZE)
  target_compile_options(cytodet_flags INTERFACE -fsanitize=${CYTODET_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(cytodet_flags INTERFACE -fsanitize=${CYTODET_SANITIZE})
endif()
# libFuzzer steers by the branches that an input takes, so the rooms (not their tests) count them.
option(CYTODET_LIBFUZZER "Fuzz targets are libFuzzer's (clang)" OFF)

# cytodet_uninstrumented(files...): without sanitizers, for code that takes minutes to compile with them.
function(cytodet_uninstrumented)
  if(CYTODET_SANITIZE)
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=all -O1)
  endif()
endfunction()
# cytodet_instrumented_quickly(files...): never optimized under sanitizers, which makes compiling six times as fast.
function(cytodet_instrumented_quickly)
  if(CYTODET_SANITIZE)
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -O0)
  endif()
endfunction()

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
    if(CYTODET_LIBFUZZER)
      target_compile_options(cytodet_${name} PRIVATE -fsanitize=fuzzer-no-link)
    endif()
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

# The words before "#" of a list's lines.
function(cytodet_read_list file variable)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} lines)
  list(TRANSFORM lines REPLACE " *#.*" "")
  list(FILTER lines EXCLUDE REGEX "^ *$")
  set(${variable} ${lines} PARENT_SCOPE)
endfunction()

# cytodet_test(room LINK libs...): tests/<room>/*.cpp become one program test_<room>, every test one of ctest's. Under the thread
# sanitizer only the files that tests/sanitizers/tsan_files.txt lists.
function(cytodet_test name)
  cmake_parse_arguments(TEST "" "" "LINK" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/emulated/")  # test_exec takes them without sanitizers only
  if(CYTODET_SANITIZE MATCHES thread)
    cytodet_read_list(${CMAKE_CURRENT_SOURCE_DIR}/sanitizers/tsan_files.txt sources)
    list(FILTER sources INCLUDE REGEX "^tests/${name}/")
    list(TRANSFORM sources PREPEND ${CMAKE_SOURCE_DIR}/)
  endif()
  if(NOT sources)
    return()
  endif()
  add_executable(test_${name} ${sources})
  target_link_libraries(test_${name} PRIVATE cytodet_flags cytodet_all_rooms test_paths ${TEST_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  target_compile_options(test_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(CYTODET_SANITIZE)
    cytodet_sanitized_tests(${name})
  else()
    gtest_discover_tests(test_${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300 LABELS ${name})
  endif()
endfunction()

# A program under sanitizers takes long to start, so ctest runs it whole, in four parts, without the tests that
# tests/sanitizers/<preset>_left_out.txt lists.
function(cytodet_sanitized_tests name)
  set(kind asan)
  if(CYTODET_SANITIZE MATCHES thread)
    set(kind tsan)
  endif()
  cytodet_read_list(${CMAKE_CURRENT_SOURCE_DIR}/sanitizers/${kind}_left_out.txt left_out)
  list(JOIN left_out ":" left_out)
  foreach(part RANGE 3)
    add_test(NAME ${name}_${part} COMMAND test_${name} --gtest_brief=1 --gtest_filter=-${left_out})
    set_tests_properties(${name}_${part} PROPERTIES TIMEOUT 1500 LABELS ${name} ENVIRONMENT "GTEST_TOTAL_SHARDS=4;GTEST_SHARD_INDEX=${part}")
  endforeach()
endfunction()
