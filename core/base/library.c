/* SPDX-License-Identifier: MIT */
/* library.c - see library.h. Called by json.c, core/boot and core/doctor. */
#include "core/base/library.h"

#include <dlfcn.h>
#include <stddef.h>

void *library_symbol(const char *soname, const char *name)
{
	/* Never closed: the dynamic linker counts, and gives the same handle each time. */
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	return library ? dlsym(library, name) : NULL;
}
