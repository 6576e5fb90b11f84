/* SPDX-License-Identifier: MIT */
/* fs_session_test.c - not written yet. */
#include "tests/unit/fs_client.h"

static void the_guest_begins(void **state)
{
	struct fs_client client;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_true(client.init.max_write == 1 << 20);
	fs_end(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_guest_begins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
