# trikl_add_kernel(LIBRARY SPEC file.tkl [KERNEL name] [TARGETS sm_80 sm_90a ...] [DEFINES D=64 T=f16 ...])
#
# Compiles one attention of a spec ahead of time for GPU targets, and makes the static library LIBRARY of it: a program
# that links with it includes "NAME.h" (the exact signature, NAME_load, NAME_launch) and needs libtrikl-rt alone.
#   KERNEL    the attention's name in the file; default: the file's name without its ending
#   TARGETS   GPU architectures (`trikl targets` lists them); default: sm_80 sm_90a
#   DEFINES   values of consts and params
# Where ptxas is found, the code for each target is there as machine code too.
function(trikl_add_kernel library)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "SPEC;KERNEL" "TARGETS;DEFINES")
  if(NOT arg_SPEC OR arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "trikl_add_kernel(LIBRARY SPEC file.tkl [KERNEL name] [TARGETS ...] [DEFINES ...]), not: ${ARGV}")
  endif()
  if(NOT TARGET Trikl::compiler)
    message(FATAL_ERROR "trikl_add_kernel needs the program trikl, which this installation lacks")
  endif()
  get_filename_component(spec "${arg_SPEC}" ABSOLUTE)
  if(NOT arg_KERNEL)
    get_filename_component(arg_KERNEL "${spec}" NAME_WE)
  endif()
  if(NOT arg_TARGETS)
    set(arg_TARGETS sm_80 sm_90a)
  endif()
  list(JOIN arg_TARGETS "," targets)
  set(defines)
  foreach(define IN LISTS arg_DEFINES)
    list(APPEND defines -D ${define})
  endforeach()

  set(folder "${CMAKE_CURRENT_BINARY_DIR}/${library}.kernel")
  set(files "${folder}/${arg_KERNEL}.h" "${folder}/${arg_KERNEL}_bundle.c")
  add_custom_command(OUTPUT ${files}
    COMMAND Trikl::compiler build "${spec}" --spec ${arg_KERNEL} --target ${targets} ${defines}
      --emit embed,header -o "${folder}"
    DEPENDS "${spec}" Trikl::compiler COMMENT "Trikl: ${arg_KERNEL} for ${targets}" VERBATIM)
  add_library(${library} STATIC ${files})
  target_include_directories(${library} PUBLIC "${folder}")
  target_link_libraries(${library} PUBLIC Trikl::trikl_rt)
endfunction()
