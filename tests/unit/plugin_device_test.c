/* SPDX-License-Identifier: MIT */
/* plugin_device_test.c - the life cycle of an instance: order, failures, threads, setups, saved state. */
#include "tests/unit/plugin_fake.h"

#include "core/plugin/state.h"

static void callbacks_come_in_the_documented_order(void **state)
{
	struct plugin_device *d = fake_walk("activate");

	(void)state;
	assert_int_equal(probe.features, 1);
	fake_notify(0);
	fake_virtio->setup.ops->config_written(fake_virtio->setup.ctx, 0, "x", 1);
	fake_end(d);
	assert_string_equal(probe.calls,
	                    "create config realize start activate notify0 config_written reset stop destroy");
}

static void a_reboot_attaches_again_without_a_new_start(void **state)
{
	static const struct virtio_platform platform;
	struct plugin_device *d = fake_walk("activate");
	struct error err;

	(void)state;
	plugin_device_detach(d);
	assert_int_equal(plugin_device_attach(d, &platform, &err), 0);
	assert_int_equal(fake_activate(4), 0);
	fake_end(d);
	assert_string_equal(probe.calls, "create config realize start activate reset activate reset stop destroy");
}

static void an_instance_without_optional_callbacks_works(void **state)
{
	struct plugin_device *d;

	(void)state;
	fake_plugin.info.config = NULL;
	fake_plugin.info.start = NULL;
	fake_plugin.info.config_written = NULL;
	fake_plugin.info.stop = NULL;
	d = fake_walk("activate");
	fake_virtio->setup.ops->config_written(fake_virtio->setup.ctx, 0, "x", 1);
	fake_end(d);
	assert_string_equal(probe.calls, "create realize activate reset destroy");
}

/* Walks until something fails and returns the code; destroys what there is. */
static int walk_to_failure(struct error *err)
{
	struct plugin_device *d;
	int r = plugin_device_create(&fake_plugin, "probe0", &fake_environment, &d, err);

	if (r < 0)
		return r;
	r = plugin_device_config(d, NULL, 0, err);
	if (r == 0)
		r = plugin_device_realize(d, err);
	if (r == 0)
		r = plugin_device_start(d, err);
	assert_true(r < 0);
	plugin_device_destroy(d);
	return r;
}

static void what_a_callback_says_reaches_the_user(void **state)
{
	static const char *const callbacks[][2] = {
		{ "create", "create" },
		{ "config", "create config destroy" },
		{ "realize", "create config realize destroy" },
		{ "start", "create config realize start destroy" },
	};
	struct error err;
	char expected[128];

	for (size_t i = 0; i < sizeof callbacks / sizeof callbacks[0]; i++) {
		fake_teardown(state);
		fake_setup(state);
		probe.fail = callbacks[i][0];
		probe.setup.n_workers = 2;
		assert_true(walk_to_failure(&err) < 0);
		snprintf(expected, sizeof expected, "probe0: %s went wrong: code 42", callbacks[i][0]);
		assert_string_equal(err.text, expected);
		assert_string_equal(probe.calls, callbacks[i][1]);
	}
}

static void a_failure_without_words_blames_the_plugin(void **state)
{
	struct error err;

	(void)state;
	probe.fail = "realize";
	probe.fail_silently = true;
	assert_int_equal(walk_to_failure(&err), -EIO);
	assert_non_null(strstr(err.text, "probe0: "));
	assert_non_null(strstr(err.text, "plugin probe failed in realize()"));
}

static void complain_in_config(const char *callback)
{
	if (strcmp(callback, "config") == 0)
		probe.host->error(probe.dev, "not meant");
}

static void words_of_a_callback_that_succeeded_are_not_the_next_ones_cause(void **state)
{
	struct error err;

	(void)state;
	probe.hook = complain_in_config;
	probe.fail = "realize";
	probe.fail_silently = true;
	assert_int_equal(walk_to_failure(&err), -EIO);
	assert_null(strstr(err.text, "not meant"));
}

static void a_failed_activate_leaves_the_device_inactive(void **state)
{
	struct plugin_device *d = fake_walk("attach");

	(void)state;
	probe.fail = "activate";
	assert_int_not_equal(fake_activate(0), 0);
	fake_virtio->pending = 1;
	assert_null(probe.host->queue_pop(probe.dev, 0));
	fake_end(d);
}

static void refuse_setup(const char *words)
{
	struct error err;

	assert_int_equal(walk_to_failure(&err), -EINVAL);
	assert_non_null(strstr(err.text, "probe0: a fault of the plugin probe: "));
	if (!strstr(err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

static void set_far_byte(const char *callback)
{
	if (strcmp(callback, "realize") == 0)
		assert_int_equal(probe.host->config_set(probe.dev, 8, "x", 1, false), 0);
}

static void a_setup_that_breaks_a_limit_is_refused_and_named(void **state)
{
#define TRY(change, words)            \
	do {                          \
		fake_teardown(state); \
		fake_setup(state);    \
		change;               \
		refuse_setup(words);  \
	} while (0)
	TRY(probe.setup.n_queues = 0, "0 queues");
	TRY(probe.setup.n_queues = CAPSA_MAX_QUEUES + 1, "65 queues");
	TRY(probe.setup.queues[1].size = 3, "queue 1 has size 3");
	TRY(probe.setup.queues[1].size = 1, "queue 1 has size 1");
	TRY(probe.setup.queues[0].size = 2048, "queue 0 has size 2048");
	TRY(probe.setup.queues[0].max_segments = 2000, "max_segments 2000");
	TRY(probe.setup.queues[0].max_bytes = 1ull << 32, "max_bytes 4294967296");
	TRY(probe.setup.queues[0].flags = 1, "queue 0 uses fields unknown");
	TRY(probe.setup.features = 1ull << 32, "features 0x100000000");
	TRY(probe.setup.config_size = 257, "257 bytes");
	TRY(probe.setup.n_workers = 65, "65 worker threads");
	TRY(probe.setup.n_shared_memory = 5, "5 shared-memory windows");
	TRY((probe.setup.n_shared_memory = 1, probe.setup.shared_memory[0].size = 4096), "4096 bytes");
	TRY((probe.setup.n_shared_memory = 1, probe.setup.shared_memory[0].size = 3 << 20), "power of two");
	TRY((probe.setup.n_shared_memory = 2,
	     probe.setup.shared_memory[0].size = probe.setup.shared_memory[1].size = 2 << 20),
	    "0 is there twice");
	TRY(probe.hook = set_far_byte, "byte 8 of a configuration space of 8 bytes");
#undef TRY
}

/* ---- threads ---- */

static pthread_t threads[8];
static unsigned n_threads;

static void note_thread(const char *callback)
{
	(void)callback;
	assert_true(n_threads < 8);
	threads[n_threads++] = pthread_self();
}

static void walk_with_own_thread(enum capsa_thread_model model)
{
	struct plugin_device *d;
	unsigned n_main = 0;

	n_threads = 0;
	probe.hook = note_thread;
	fake_plugin.info.thread_model = model;
	d = fake_walk("activate");
	fake_notify(0);
	assert_string_equal(probe.calls, "create config realize start activate notify0");
	for (unsigned i = 0; i < n_threads; i++)
		n_main += pthread_equal(threads[i], pthread_self()) != 0;
	assert_int_equal(n_main, 4);
	assert_true(pthread_equal(threads[4], threads[5]));
	plugin_device_detach(d);
	assert_false(pthread_equal(threads[6], pthread_self())); /* reset */
	probe.hook = NULL;
	plugin_device_stop(d);
	assert_true(pthread_equal(probe.thread, pthread_self()));
	plugin_device_destroy(d);
}

static void a_worker_instance_has_a_thread_of_its_own_for_events_only(void **state)
{
	(void)state;
	walk_with_own_thread(CAPSA_THREAD_WORKER);
}

static void a_parallel_instance_without_extra_loops_has_one_too(void **state)
{
	(void)state;
	walk_with_own_thread(CAPSA_THREAD_PARALLEL);
}

/* ---- saved state ---- */

static void write_state(const char *callback)
{
	if (strcmp(callback, "save") == 0) {
		assert_int_equal(probe.host->state_write(probe.dev, "hello ", 6), 0);
		assert_int_equal(probe.host->state_write(probe.dev, "world", 5), 0);
		assert_int_equal(probe.host->state_read(probe.dev, NULL, 0), -EINVAL);
	} else {
		assert_int_equal(probe.host->state_write(probe.dev, "x", 1), -EINVAL);
	}
}

static size_t to_read;

static void read_state(const char *callback)
{
	char text[32];

	if (strcmp(callback, "restore") != 0)
		return;
	assert_int_equal(probe.host->state_read(probe.dev, text, sizeof text), -ENODATA);
	assert_int_equal(probe.host->state_read(probe.dev, text, to_read), 0);
	assert_memory_equal(text, "hello world", to_read);
}

static void what_is_saved_is_what_is_restored(void **state)
{
	static const enum capsa_thread_model models[] = { CAPSA_THREAD_REACTOR, CAPSA_THREAD_WORKER,
		                                          CAPSA_THREAD_PARALLEL };

	for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
		struct plugin_device *d;
		struct error err;
		void *data;
		size_t len;

		fake_teardown(state);
		fake_setup(state);
		fake_plugin.info.thread_model = models[i];
		d = fake_walk("activate");
		probe.hook = write_state;
		assert_int_equal(plugin_device_save(d, &data, &len, &err), 0);
		assert_true(pthread_equal(probe.thread, pthread_self()));
		assert_int_equal(len, 11);
		assert_memory_equal(data, "hello world", 11);
		probe.hook = NULL;
		fake_notify(0); /* it goes on */
		fake_end(d);
		assert_string_equal(probe.calls,
		                    "create config realize start activate quiesce save notify0 reset stop destroy");

		probe.calls[0] = '\0';
		d = fake_walk("start");
		probe.hook = read_state;
		to_read = 11;
		assert_int_equal(plugin_device_restore(d, data, len, &err), 0);
		to_read = 7;
		assert_int_equal(plugin_device_restore(d, data, len, &err), -EINVAL);
		assert_non_null(strstr(err.text, "4 bytes that the plugin probe 1 does not know"));
		fake_end(d);
		free(data);
	}
}

static void a_plugin_that_cannot_save_is_named(void **state)
{
	struct plugin_device *d;
	struct error err;
	void *data;
	size_t len;

	(void)state;
	fake_plugin.info.save = NULL;
	d = fake_walk("activate");
	assert_int_equal(plugin_device_can_save(d, &err), -ENOTSUP);
	assert_int_equal(plugin_device_save(d, &data, &len, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "probe0: the plugin probe cannot save its state (it has no save())"));
	assert_null(strstr(probe.calls, "quiesce"));
	fake_end(d);
}

static void failures_of_save_and_restore_reach_the_user(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct error err;
	void *data;
	size_t len;

	(void)state;
	probe.fail = "quiesce";
	assert_int_equal(plugin_device_save(d, &data, &len, &err), -EIO);
	assert_string_equal(err.text, "probe0: quiesce went wrong: code 42");
	probe.fail = "save";
	assert_int_equal(plugin_device_save(d, &data, &len, &err), -EIO);
	assert_string_equal(err.text, "probe0: save went wrong: code 42");
	probe.fail = "restore";
	assert_int_equal(plugin_device_restore(d, "", 0, &err), -EINVAL);
	assert_string_equal(err.text, "probe0: restore went wrong: code 42");
	fake_end(d);
}

static void saved_state_is_bounded(void **state)
{
	struct state_buffer buffer = { .data = NULL };
	char byte = 1;

	(void)state;
	assert_int_equal(state_append(&buffer, &byte, STATE_MAX + 1), -EFBIG);
	assert_int_equal(state_append(&buffer, &byte, 1), 0);
	assert_int_equal(state_append(&buffer, &byte, STATE_MAX), -EFBIG);
	assert_int_equal(state_take(&buffer, &byte, 1), 0);
	assert_int_equal(state_take(&buffer, &byte, SIZE_MAX), -ENODATA);
	free(buffer.data);
}

/* ---- while it runs ---- */

static void a_live_key_is_replaced_while_the_loop_stands_still(void **state)
{
	static const enum capsa_thread_model models[] = { CAPSA_THREAD_REACTOR, CAPSA_THREAD_WORKER,
		                                          CAPSA_THREAD_PARALLEL };
	const struct capsa_value value = { .type = CAPSA_TYPE_INT, .integer = 7 };
	struct error err = { "" };

	for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
		struct plugin_device *d;

		fake_teardown(state);
		fake_setup(state);
		fake_plugin.info.thread_model = models[i];
		d = fake_walk("activate");
		assert_int_equal(plugin_device_reconfigure(d, 1, &value, &err), 0);
		assert_true(pthread_equal(probe.thread, pthread_self()));
		assert_int_equal(probe_reconfigured.key, 1);
		assert_int_equal(probe_reconfigured.integer, 7);
		fake_notify(0); /* it goes on */
		fake_end(d);
		assert_string_equal(probe.calls,
		                    "create config realize start activate reconfigure notify0 reset stop destroy");
	}
}

static void what_cannot_be_replaced_is_told(void **state)
{
	const struct capsa_value value = { .type = CAPSA_TYPE_INT, .integer = 7 };
	struct plugin_device *d = fake_walk("config");
	struct error err = { "" };

	(void)state;
	assert_int_equal(plugin_device_reconfigure(d, 1, &value, &err), -EBUSY);
	assert_string_equal(err.text, "probe0: the machine has not started, or is stopping");
	fake_end(d);
	d = fake_walk("activate");
	assert_int_equal(plugin_device_reconfigure(d, 0, &value, &err), -EPERM);
	assert_string_equal(err.text,
	                    "probe0: the key \"fixed\" of the plugin probe cannot be changed while the machine runs; "
	                    "change it in the configuration and start the machine again");
	assert_null(strstr(probe.calls, "reconfigure"));
	probe.fail = "reconfigure";
	assert_int_equal(plugin_device_reconfigure(d, 1, &value, &err), -EINVAL);
	assert_string_equal(err.text, "probe0: reconfigure went wrong: code 42");
	fake_notify(0);
	fake_end(d);
}

static void tell(const char *callback)
{
	const struct capsa_host *host = probe.host;

	if (strcmp(callback, "info") != 0)
		return;
	assert_true(pthread_equal(pthread_self(), probe.thread));
	host->info_number(probe.dev, "n", 5);
	host->info_begin(probe.dev, "network", false);
	host->info_text(probe.dev, "mac", "02:00");
	host->info_begin(probe.dev, "addresses", true);
	host->info_text(probe.dev, "ignored in a list", "10.0.2.2/24");
	host->info_begin(probe.dev, NULL, false);
	host->info_number(probe.dev, "huge", UINT64_MAX);
	host->info_end(probe.dev);
	host->info_end(probe.dev);
	host->info_end(probe.dev);
	host->info_number(probe.dev, "Bad Name", 1);
	host->info_number(probe.dev, NULL, 1);
	host->info_begin(probe.dev, "also bad", false);
	host->info_number(probe.dev, "inside", 1);
	host->info_end(probe.dev);
	host->info_end(probe.dev); /* one too many */
	host->info_number(probe.dev, "last", 6);
	host->info_begin(probe.dev, "never_closed", false);
}

static void queues_are_told_of_a_device_on_a_bus(void **state)
{
	struct virtio_queue_state queue;
	struct plugin_device *d;

	(void)state;
	d = fake_walk("start");
	assert_false(plugin_device_queue(d, 0, &queue));
	fake_end(d);
	d = fake_walk("activate");
	fake_virtio->pending = 3;
	assert_true(plugin_device_queue(d, 0, &queue));
	assert_int_equal(queue.waiting, 3);
	assert_false(plugin_device_queue(d, 1, &queue));
	fake_end(d);
}

static void what_a_device_tells_is_a_tree(void **state)
{
	const struct capsa_value *network, *list;
	struct arena *arena = arena_new();
	struct plugin_device *d;
	struct capsa_value info;
	struct error err;

	(void)state;
	fake_plugin.info.thread_model = CAPSA_THREAD_WORKER;
	d = fake_walk("config");
	assert_int_equal(plugin_device_info(d, arena, &info, &err), 0);
	assert_int_equal(info.n_items, 0);
	fake_end(d);
	d = fake_walk("activate");
	probe.host->info_number(probe.dev, "outside", 1);
	probe.hook = tell;
	assert_int_equal(plugin_device_info(d, arena, &info, &err), 0);
	assert_int_equal(info.type, CAPSA_TYPE_GROUP);
	assert_int_equal(info.n_items, 3);
	assert_string_equal(info.items[0].name, "n");
	assert_int_equal(info.items[0].integer, 5);
	network = &info.items[1];
	assert_string_equal(network->name, "network");
	assert_int_equal(network->n_items, 2);
	assert_string_equal(network->items[0].string, "02:00");
	list = &network->items[1];
	assert_int_equal(list->type, CAPSA_TYPE_LIST);
	assert_int_equal(list->n_items, 2);
	assert_null(list->items[0].name);
	assert_string_equal(list->items[0].string, "10.0.2.2/24");
	assert_true(list->items[1].items[0].integer == INT64_MAX);
	assert_string_equal(info.items[2].name, "last");
	probe.hook = NULL;
	fake_notify(0);
	fake_end(d);
	arena_free(arena);
}

static void tell_too_much(const char *callback)
{
	static char text[1 << 20];

	if (strcmp(callback, "info") != 0)
		return;
	memset(text, 'x', sizeof text - 1);
	for (unsigned i = 0; i < 8; i++)
		probe.host->info_text(probe.dev, "text", text);
	for (unsigned i = 0; i < 100; i++)
		probe.host->info_begin(probe.dev, "deep", false);
	probe.host->info_number(probe.dev, "n", 1);
	for (unsigned i = 0; i < 100; i++)
		probe.host->info_end(probe.dev);
	probe.host->info_number(probe.dev, "n", 2);
}

static void what_a_device_tells_is_bounded(void **state)
{
	struct arena *arena = arena_new();
	struct plugin_device *d = fake_walk("activate");
	const struct capsa_value *deep;
	struct capsa_value info;
	unsigned depth = 0;
	struct error err;

	(void)state;
	probe.hook = tell_too_much;
	assert_int_equal(plugin_device_info(d, arena, &info, &err), 0);
	assert_int_equal(info.n_items, 3 + 2);
	for (deep = &info.items[3]; deep->n_items; deep = &deep->items[0])
		depth++;
	assert_in_range(depth, 1, 16);
	assert_int_equal(info.items[4].integer, 2);
	fake_end(d);
	arena_free(arena);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(callbacks_come_in_the_documented_order),
		TEST(a_reboot_attaches_again_without_a_new_start),
		TEST(an_instance_without_optional_callbacks_works),
		TEST(what_a_callback_says_reaches_the_user),
		TEST(a_failure_without_words_blames_the_plugin),
		TEST(words_of_a_callback_that_succeeded_are_not_the_next_ones_cause),
		TEST(a_failed_activate_leaves_the_device_inactive),
		TEST(a_setup_that_breaks_a_limit_is_refused_and_named),
		TEST(a_worker_instance_has_a_thread_of_its_own_for_events_only),
		TEST(a_parallel_instance_without_extra_loops_has_one_too),
		TEST(what_is_saved_is_what_is_restored),
		TEST(a_plugin_that_cannot_save_is_named),
		TEST(failures_of_save_and_restore_reach_the_user),
		TEST(saved_state_is_bounded),
		TEST(a_live_key_is_replaced_while_the_loop_stands_still),
		TEST(what_cannot_be_replaced_is_told),
		TEST(queues_are_told_of_a_device_on_a_bus),
		TEST(what_a_device_tells_is_a_tree),
		TEST(what_a_device_tells_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
