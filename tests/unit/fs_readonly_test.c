/* SPDX-License-Identifier: MIT */
/* fs_readonly_test.c - not written yet. */
#include "tests/unit/fs_client.h"

static void it_is_not_written_yet(void **state)
{
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_not_written_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
