/* SPDX-License-Identifier: MIT */
/* metrics_test.c - counters as Prometheus reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/control/metrics.h"

static void samples_of_one_name_stand_together(void **state)
{
	struct metrics *m = metrics_new();
	size_t len;
	char *text;

	(void)state;
	metrics_add_count(m, "rx", "Received.", "device", "a", UINT64_MAX);
	metrics_add(m, METRICS_GAUGE, "memory", "Memory.", NULL, NULL, 268435456);
	metrics_add_count(m, "rx", "Received.", "device", "b", 2);
	metrics_add(m, METRICS_COUNTER, "cpu", "Time.", NULL, NULL, 0.25);
	text = metrics_text(m, &len);
	assert_string_equal(text, "# HELP cpu Time.\n# TYPE cpu counter\ncpu 0.25\n"
	                          "# HELP memory Memory.\n# TYPE memory gauge\nmemory 268435456\n"
	                          "# HELP rx Received.\n# TYPE rx counter\n"
	                          "rx{device=\"a\"} 18446744073709551615\nrx{device=\"b\"} 2\n");
	assert_int_equal(len, strlen(text));
	free(text);
	metrics_free(m);
}

static void no_text_breaks_a_line(void **state)
{
	struct metrics *m = metrics_new();
	size_t len;
	char *text;

	(void)state;
	metrics_add_count(m, "x", "a\nb\\c\"d", "device", "e\nf\\g\"h", 1);
	text = metrics_text(m, &len);
	assert_string_equal(text, "# HELP x a\\nb\\\\c\"d\n# TYPE x counter\nx{device=\"e\\nf\\\\g\\\"h\"} 1\n");
	free(text);
	metrics_free(m);
}

static void many_samples_keep_their_order(void **state)
{
	struct metrics *m = metrics_new();
	size_t len;
	char *text, *at, value[16];

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		metrics_add_count(m, i % 2 ? "odd" : "even", "", NULL, NULL, i);
	at = text = metrics_text(m, &len);
	for (unsigned i = 0; i < 1000; i += 2) {
		snprintf(value, sizeof value, "even %u\n", i);
		at = strstr(at, value);
		assert_non_null(at);
	}
	free(text);
	metrics_free(m);
}

static void none_is_no_text(void **state)
{
	struct metrics *m = metrics_new();
	size_t len = 1;
	char *text = metrics_text(m, &len);

	(void)state;
	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	free(text);
	metrics_free(m);
	metrics_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_of_one_name_stand_together),
		cmocka_unit_test(no_text_breaks_a_line),
		cmocka_unit_test(many_samples_keep_their_order),
		cmocka_unit_test(none_is_no_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
