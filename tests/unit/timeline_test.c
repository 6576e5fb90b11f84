/* SPDX-License-Identifier: MIT */
/* timeline_test.c - marks of a start, and what is made of them: Chrome trace JSON and a picture. */
#include <jansson.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/timeline.h"
#include "core/control/plot.h"
#include "core/control/trace.h"

static struct timeline timeline;

static int empty(void **state)
{
	(void)state;
	memset(&timeline, 0, sizeof timeline);
	return 0;
}

static void marks_come_out_in_order_of_time(void **state)
{
	struct timeline_event events[TIMELINE_MARKS_MAX];

	(void)state;
	timeline_mark(&timeline, "b", 20);
	timeline_mark(&timeline, "a", 10);
	timeline_mark(&timeline, "a name that is longer than there is room for it", 30);
	assert_int_equal(timeline_read(&timeline, events), 3);
	assert_string_equal(events[0].name, "a");
	assert_int_equal(events[1].ns, 20);
	assert_int_equal(strlen(events[2].name), TIMELINE_NAME_MAX - 1);
	assert_true(timeline_now() > 0);
}

static void *mark_many(void *name)
{
	for (int i = 0; i < TIMELINE_MARKS_MAX; i++)
		timeline_mark(&timeline, name, i);
	return NULL;
}

static void threads_mark_at_once_and_no_mark_is_one_too_many(void **state)
{
	struct timeline_event events[TIMELINE_MARKS_MAX];
	pthread_t a, b;

	(void)state;
	pthread_create(&a, NULL, mark_many, (char[]){ "aaaaaaaaaaaaaaaa" });
	pthread_create(&b, NULL, mark_many, (char[]){ "bbbbbbbbbbbbbbbb" });
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	assert_int_equal(timeline_read(&timeline, events), TIMELINE_MARKS_MAX);
	for (int i = 0; i < TIMELINE_MARKS_MAX; i++)
		assert_true(strcmp(events[i].name, "aaaaaaaaaaaaaaaa") == 0 ||
		            strcmp(events[i].name, "bbbbbbbbbbbbbbbb") == 0);
}

static const struct timeline_event three[] = {
	{ "begin", 1000000000 },
	{ "say \"hi\" & <go>", 1000250000 },
	{ "end", 1012750000 },
};

static void a_trace_has_the_time_between_marks(void **state)
{
	char *text = trace_json(three, 3, 42);
	json_t *root = json_loads(text, 0, NULL), *list, *event;

	(void)state;
	assert_non_null(root);
	list = json_object_get(root, "traceEvents");
	assert_int_equal(json_array_size(list), 3);
	event = json_array_get(list, 2);
	assert_string_equal(json_string_value(json_object_get(event, "name")), "end");
	assert_string_equal(json_string_value(json_object_get(event, "ph")), "X");
	assert_true(json_number_value(json_object_get(event, "ts")) == 250);
	assert_true(json_number_value(json_object_get(event, "dur")) == 12500);
	assert_int_equal(json_integer_value(json_object_get(event, "pid")), 42);
	event = json_array_get(list, 1);
	assert_string_equal(json_string_value(json_object_get(event, "name")), three[1].name);
	json_decref(root);
	free(text);
	text = trace_json(three, 0, 42);
	assert_non_null(strstr(text, "\"traceEvents\": []"));
	free(text);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		text++;
		n++;
	}
	return n;
}

static void a_picture_has_a_bar_for_each_mark_but_the_first(void **state)
{
	char *svg = plot_svg("<\"&\x01\xff>", three, 3);

	(void)state;
	assert_int_equal(count(svg, "<rect "), 3); /* one is the background */
	assert_non_null(strstr(svg, "&lt;&quot;&amp;??&gt; (13 ms)"));
	assert_non_null(strstr(svg, "say &quot;hi&quot; &amp; &lt;go&gt;"));
	assert_non_null(strstr(svg, ">0.25 ms</text>"));
	assert_int_equal(count(svg, "<text "), count(svg, "</text>"));
	free(svg);
}

static void few_marks_make_a_picture_too(void **state)
{
	static const struct timeline_event same[] = { { "a", 5 }, { "b", 5 } };
	char *svg;

	(void)state;
	for (size_t n = 0; n <= 2; n++) {
		svg = plot_svg("few", same, n);
		assert_int_equal(count(svg, "</svg>"), 1);
		assert_int_equal(count(svg, "nan"), 0);
		assert_int_equal(count(svg, "inf"), 0);
		free(svg);
	}
}

/* `timeline_test write FOLDER`: for timeline.sh, which has other programs read them. */
static int write_both(const char *folder)
{
	static const struct timeline_event odd[] = {
		{ "begin", 1 },       { "\x01\x1f\x7f", 1500 }, { "]]>--<!-- &amp;", 900000 },
		{ "'\"\\", 1000000 }, { "long", 99000000000 },
	};
	char path[256], *text[2] = { plot_svg("<odd> & \"even\"", odd, 5), trace_json(odd, 5, 1) };

	for (int i = 0; i < 2; i++) {
		FILE *f;

		snprintf(path, sizeof path, "%s/start.%s", folder, i ? "json" : "svg");
		f = fopen(path, "w");
		if (!f || fputs(text[i], f) < 0 || fclose(f))
			return 1;
		free(text[i]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(marks_come_out_in_order_of_time, empty),
		cmocka_unit_test_setup(threads_mark_at_once_and_no_mark_is_one_too_many, empty),
		cmocka_unit_test(a_trace_has_the_time_between_marks),
		cmocka_unit_test(a_picture_has_a_bar_for_each_mark_but_the_first),
		cmocka_unit_test(few_marks_make_a_picture_too),
	};

	if (argc == 3 && strcmp(argv[1], "write") == 0)
		return write_both(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
