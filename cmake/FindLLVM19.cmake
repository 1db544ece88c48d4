# FindLLVM19: the target trikl_llvm, LLVM 19 for the CPU now and NVPTX later.
#   TRIKL_LLVM        static (default): linked in, nothing of LLVM needed at run time; shared: libLLVM.so
#   LLVM19_CONFIG     the llvm-config to ask; a plain "llvm-config" may be of any version, so it is checked
# Also sets LLVM19_VERSION and LLVM19_LINK_FLAGS (for who links libtrikl.a).
set(TRIKL_LLVM_COMPONENTS native nvptx orcjit passes)

find_program(LLVM19_CONFIG NAMES llvm-config-19 llvm-config
  HINTS /usr/lib/llvm-19/bin /opt/homebrew/opt/llvm@19/bin)
if(LLVM19_CONFIG)
  execute_process(COMMAND ${LLVM19_CONFIG} --version
    OUTPUT_VARIABLE LLVM19_VERSION OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
if(NOT LLVM19_VERSION MATCHES "^19\\.")
  message(FATAL_ERROR "LLVM 19 is needed (Debian: llvm-19-dev), found: ${LLVM19_CONFIG} ${LLVM19_VERSION}. "
    "Name its llvm-config with -DLLVM19_CONFIG=...")
endif()
if(NOT TRIKL_LLVM MATCHES "^(static|shared)$")
  message(FATAL_ERROR "TRIKL_LLVM is '${TRIKL_LLVM}', must be static or shared")
endif()

function(ask_llvm variable)
  execute_process(COMMAND ${LLVM19_CONFIG} --link-${TRIKL_LLVM} ${ARGN} RESULT_VARIABLE failed
    OUTPUT_VARIABLE answer ERROR_VARIABLE trouble OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(failed)
    message(FATAL_ERROR "LLVM 19 cannot be linked ${TRIKL_LLVM}: ${trouble}")
  endif()
  separate_arguments(answer)
  set(${variable} ${answer} PARENT_SCOPE)
endfunction()

ask_llvm(include --includedir)
ask_llvm(libdir --libdir)
ask_llvm(libs --libs ${TRIKL_LLVM_COMPONENTS})
set(system)
if(TRIKL_LLVM STREQUAL "static")
  ask_llvm(system --system-libs)
  list(APPEND system -lstdc++)
endif()
set(LLVM19_LINK_FLAGS -L${libdir} ${libs} ${system})

add_library(trikl_llvm INTERFACE)
target_include_directories(trikl_llvm SYSTEM INTERFACE ${include})
target_link_libraries(trikl_llvm INTERFACE ${LLVM19_LINK_FLAGS})
# Libraries that nothing refers to (libxml2, libz3) leave no trace in the result.
target_link_options(trikl_llvm INTERFACE -Wl,--as-needed)
