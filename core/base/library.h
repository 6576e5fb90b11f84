/* SPDX-License-Identifier: MIT */
/*
 * library.h - functions of a shared library that is loaded when it is first needed.
 *
 * For libraries that most runs never call: loading one costs a start several milliseconds' worth of system
 * calls and page faults. Declared with the library's own header, so that types are checked:
 *
 *   LIBRARY_FUNCTION(ZSTD_isError, "libzstd.so.1");     a pointer `lib_ZSTD_isError`, or NULL
 */
#ifndef CAPSA_BASE_LIBRARY_H
#define CAPSA_BASE_LIBRARY_H

/*
 * The address of `name` in the library `soname`, which stays loaded. NULL where it is not installed or lacks
 * the function. Any thread.
 */
void *library_symbol(const char *soname, const char *name);

#define LIBRARY_FUNCTION(function, soname) __typeof__(function) *lib_##function = library_symbol(soname, #function)

#endif
