# package: what `cmake --install` puts where, find_package(Trikl), pkg-config (trikl, trikl-rt).
#   Trikl::trikl          the shared library       trikl.pc
#   Trikl::trikl_static   the archive; brings LLVM's libraries along       pkg-config --static
#   Trikl::trikl_rt       launches what `trikl build` wrote, no LLVM       <trikl.h>, <trikl/cpu.h>
#   Trikl::trikl_rt_static  the same as an archive
#   Trikl::compiler       the program; trikl_add_kernel() runs it
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Trikl)
if(TARGET trikl)
  set_target_properties(trikl PROPERTIES EXPORT_NAME compiler)
  install(TARGETS trikl EXPORT TriklTargets RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(TARGETS libtrikl libtrikl_rt EXPORT TriklTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_BINARY_DIR}/compiler/api/libtrikl.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_BINARY_DIR}/runtime/api/libtrikl-rt.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/include/trikl.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/third_party/dlpack/dlpack/dlpack.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/dlpack)
foreach(header pool.h cpu.h)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/runtime/${header})
  file(READ ${PROJECT_SOURCE_DIR}/runtime/${header} content)
  string(REPLACE "\"runtime/" "\"trikl/" content "${content}")
  file(WRITE ${PROJECT_BINARY_DIR}/include/trikl/${header} "${content}")
  install(FILES ${PROJECT_BINARY_DIR}/include/trikl/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/trikl)
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/specs DESTINATION ${CMAKE_INSTALL_DATADIR}/trikl FILES_MATCHING PATTERN "*.tkl")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT TriklTargets NAMESPACE Trikl:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/TriklConfig.cmake.in
  ${PROJECT_BINARY_DIR}/TriklConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/TriklConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/TriklConfig.cmake ${PROJECT_BINARY_DIR}/TriklConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/TriklAddKernel.cmake DESTINATION ${package_dir})

# Relative to trikl.pc itself, so that the installed tree can be moved.
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REPLACE ";" " " pc_private "${LLVM19_LINK_FLAGS} -pthread -lm")
configure_file(${PROJECT_SOURCE_DIR}/cmake/trikl.pc.in ${PROJECT_BINARY_DIR}/trikl.pc @ONLY)
configure_file(${PROJECT_SOURCE_DIR}/cmake/trikl-rt.pc.in ${PROJECT_BINARY_DIR}/trikl-rt.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/trikl.pc ${PROJECT_BINARY_DIR}/trikl-rt.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
