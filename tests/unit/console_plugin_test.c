/* SPDX-License-Identifier: MIT */
/*
 * console_plugin_test.c - the console's data paths between the guest and standard input and output: nothing is lost,
 * reordered or stored without bound, whatever pace the other side has.
 */
#include "tests/unit/console_stream.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

static int saved_stdin = -1, saved_stdout = -1;

static void restore_stdio(void)
{
	if (saved_stdin >= 0) {
		dup2(saved_stdin, STDIN_FILENO);
		close(saved_stdin);
	}
	if (saved_stdout >= 0) {
		dup2(saved_stdout, STDOUT_FILENO);
		close(saved_stdout);
	}
	saved_stdin = saved_stdout = -1;
}

static int teardown(void **state)
{
	(void)state;
	restore_stdio();
	free(dev);
	return 0;
}

/* Our standard input and output become these; -1: stays, -2: closed. */
static void replace_stdio(int in, int out)
{
	fflush(stdout);
	if (in != -1) {
		saved_stdin = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
		close(STDIN_FILENO);
		if (in >= 0)
			assert_int_equal(dup2(in, STDIN_FILENO), STDIN_FILENO);
	}
	if (out != -1) {
		saved_stdout = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
		close(STDOUT_FILENO);
		if (out >= 0)
			assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
	}
}

static void a_slow_pipe_gets_every_byte(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stdio(-1, fds[1]);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	stream_through(fds[0]);
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	console_end(dev);
	close(fds[0]);
	close(fds[1]);
}

static void a_socket_as_standard_output_gets_every_byte(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	replace_stdio(-1, fds[1]);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	stream_through(fds[0]);
	console_end(dev);
	close(fds[0]);
	close(fds[1]);
}

static void standard_output_in_a_file_gets_every_byte(void **state)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	replace_stdio(-1, fd);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	stream_through_file();
	console_end(dev);
	close(fd);
	unlink(path);
}

static void a_reader_that_hangs_up_costs_output_only(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stdio(-1, fds[1]);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	close(fds[0]);
	for (unsigned i = 0; i < 100; i++)
		guest_says(dev, pattern, 10);
	host_settle(dev);
	assert_int_equal(dev->completed[TX], 100);
	assert_int_equal(counted(dev, "dropped_bytes"), 1000);
	console_end(dev);
	close(fds[1]);
}

static void closed_descriptors_are_no_failure(void **state)
{
	(void)state;
	replace_stdio(-2, -2);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	guest_room(dev, 64);
	guest_says(dev, "hello", 5);
	host_settle(dev);
	assert_int_equal(dev->completed[TX], 1);
	assert_int_equal(dev->n_input, 0);
	console_end(dev);
}

static void input_waits_for_the_guest(void **state)
{
	char byte = 'x';
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	replace_stdio(fds[0], -1);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	while (write(fds[1], &byte, 1) == 1)
		;
	assert_int_equal(errno, EAGAIN);
	host_settle(dev);
	assert_int_equal(write(fds[1], &byte, 1), -1); /* nothing was read */
	guest_room(dev, 10);
	host_settle(dev);
	assert_int_equal(dev->n_input, 10);
	guest_room(dev, 5000);
	host_settle(dev);
	assert_int_equal(dev->n_input, 10 + 4096);
	assert_int_equal(counted(dev, "rx_bytes"), 10 + 4096);
	console_end(dev);
	close(fds[0]);
	close(fds[1]);
}

static void the_guest_outlives_its_input(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stdio(fds[0], -1);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	guest_room(dev, 10);
	guest_room(dev, 10);
	assert_int_equal(write(fds[1], "\035q", 2),
	                 2); /* the escape character means nothing where there is no terminal */
	host_settle(dev);
	close(fds[1]);
	host_settle(dev);
	assert_int_equal(dev->n_input, 2);
	assert_memory_equal(dev->input, "\035q", 2);
	assert_false(host_step(dev, 0)); /* no more watched */
	console_end(dev);
	close(fds[0]);
}

static void a_regular_file_is_input_as_the_guest_takes_it(void **state)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(write(fd, pattern, 10000), 10000);
	lseek(fd, 0, SEEK_SET);
	replace_stdio(fd, -1);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	host_settle(dev);
	assert_int_equal(dev->n_input, 0);
	guest_room(dev, 3000);
	host_settle(dev);
	assert_int_equal(dev->n_input, 3000);
	for (unsigned i = 0; i < 200; i++)
		guest_room(dev, 50);
	host_settle(dev);
	assert_int_equal(dev->n_input, 10000);
	assert_memory_equal(dev->input, pattern, 10000);
	assert_true(dev->most_in_one_call <= 65);
	console_end(dev);
	close(fd);
	unlink(path);
}

static void a_device_without_input_is_read_to_its_end_once(void **state)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	replace_stdio(fd, fd);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	guest_room(dev, 10);
	guest_says(dev, "x", 1);
	host_settle(dev);
	assert_int_equal(dev->completed[RX], 0);
	assert_int_equal(dev->completed[TX], 1);
	assert_false(host_step(dev, 0));
	console_end(dev);
	close(fd);
}

static void odd_requests_harm_nobody(void **state)
{
	int fds[2];
	char buf[16];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stdio(fds[0], fds[1]);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	guest_says(dev, pattern, 0);
	guest_says(dev, "ok", 2);
	guest_room(dev, 0); /* no room at all: completed, or it would be in the way for ever */
	guest_room(dev, 8);
	host_settle(dev);
	assert_int_equal(dev->completed[TX], 2);
	assert_int_equal(dev->completed[RX], 2); /* our own "ok" came back through the pipe */
	assert_int_equal(dev->n_input, 2);
	assert_int_equal(take(fds[0], buf, sizeof buf), 0);
	console_end(dev);
	close(fds[0]);
	close(fds[1]);
}

static void a_busy_guest_leaves_others_their_turn(void **state)
{
	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "file", .path = "/dev/null" });
	for (unsigned i = 0; i < 1000; i++)
		guest_says(dev, pattern, 16);
	host_step(dev, 0);
	assert_true(dev->completed[TX] <= 65);
	host_settle(dev);
	assert_int_equal(dev->completed[TX], 1000);
	/* By bytes as well. */
	for (unsigned i = 0; i < 40; i++)
		guest_says(dev, pattern, 1 << 20);
	host_step(dev, 0);
	assert_true(dev->completed[TX] <= 1002);
	host_settle(dev);
	assert_int_equal(dev->completed[TX], 1040);
	console_end(dev);
}

static void last_words_survive_a_reset(void **state)
{
	static char text[100000];
	size_t got = 0, n;
	int fds[2], status;
	pid_t reader;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stdio(-1, fds[1]);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	guest_says(dev, pattern, 66000);
	host_settle(dev);
	assert_int_equal(dev->completed[TX], 0); /* stuck: a pipe holds 64 KiB */
	guest_reset(dev);
	/* A new guest speaks after the old one's last words. */
	dev->active = true;
	dev->plugin->activate(dev->self, 1);
	guest_says(dev, pattern + 66000, 30000);
	while (got < 20000) {
		n = take(fds[0], text + got, sizeof text - got);
		got += n;
		host_settle(dev);
	}
	guest_reset(dev);
	/* What is left goes out while the machine ends: another process reads. */
	reader = fork();
	if (reader == 0) {
		close(fds[1]);
		close(STDOUT_FILENO);
		while (got < 96000) {
			ssize_t more = read(fds[0], text + got, sizeof text - got);

			if (more <= 0)
				break;
			got += (size_t)more;
		}
		_exit(got == 96000 && memcmp(text, pattern, 96000) == 0 ? 0 : 1);
	}
	console_end(dev);
	restore_stdio();
	close(fds[1]);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_int_equal(status, 0);
	assert_int_equal(counted(dev, "dropped_bytes"), 0);
	close(fds[0]);
}

static void nobody_reading_at_the_end_holds_up_nothing_for_long(void **state)
{
	struct timespec before, after;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	replace_stdio(-1, fds[1]);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	guest_says(dev, pattern, 100000);
	host_settle(dev);
	clock_gettime(CLOCK_MONOTONIC, &before);
	console_end(dev);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 5);
	assert_int_equal(counted(dev, "dropped_bytes"), 100000 - 65536);
	close(fds[0]);
	close(fds[1]);
}

static void wrong_keys_are_refused_with_a_remedy(void **state)
{
	static const struct {
		struct console_keys keys;
		const char *says;
	} wrong[] = {
		{ { .backend = "file" }, "needs the key \"path\"" },
		{ { .backend = "stdio", .path = "/x" }, "backend = \"file\"" },
		{ { .backend = "socket", .limit = 1 << 20 }, "backend = \"file\"" },
		{ { .backend = "file", .path = "/x", .limit = 4095 }, "4K and more" },
		{ { .backend = "stdio",
		    .escape = "^"
		              "1" },
		  "escape" },
		{ { .backend = "stdio", .escape = "ab" }, "escape" },
		{ { .backend = "stdio", .escape = "" }, "escape" },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		memset(dev, 0, sizeof *dev);
		assert_int_equal(console_configure(dev, wrong[i].keys), -1);
		assert_non_null(strstr(dev->error, wrong[i].says));
		console_destroy(dev);
	}
}

static void two_consoles_do_not_share_standard_output(void **state)
{
	static struct capsa_device other;

	(void)state;
	memset(&other, 0, sizeof other);
	console_begin(dev, (struct console_keys){ .backend = "stdio" });
	assert_int_equal(console_configure(&other, (struct console_keys){ .backend = "stdio" }), 0);
	assert_int_equal(other.plugin->realize(other.self, &other.setup), -1);
	assert_non_null(strstr(other.error, "another console"));
	console_destroy(&other);
	console_end(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_slow_pipe_gets_every_byte),
		TEST(a_socket_as_standard_output_gets_every_byte),
		TEST(standard_output_in_a_file_gets_every_byte),
		TEST(a_reader_that_hangs_up_costs_output_only),
		TEST(closed_descriptors_are_no_failure),
		TEST(input_waits_for_the_guest),
		TEST(the_guest_outlives_its_input),
		TEST(a_regular_file_is_input_as_the_guest_takes_it),
		TEST(a_device_without_input_is_read_to_its_end_once),
		TEST(odd_requests_harm_nobody),
		TEST(a_busy_guest_leaves_others_their_turn),
		TEST(last_words_survive_a_reset),
		TEST(nobody_reading_at_the_end_holds_up_nothing_for_long),
		TEST(wrong_keys_are_refused_with_a_remedy),
		TEST(two_consoles_do_not_share_standard_output),
	};

	return cmocka_run_group_tests(tests, make_pattern, free_pattern);
}
