/* SPDX-License-Identifier: MIT */
/*
 * descriptors.h - how many descriptors the process has, for tests that nothing is left open.
 *
 *     before = open_descriptors();
 *     ...
 *     assert_int_equal(open_descriptors(), before);
 */
#ifndef CAPSA_TESTS_DESCRIPTORS_H
#define CAPSA_TESTS_DESCRIPTORS_H

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static inline unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ., .., the folder itself */
}

#endif
