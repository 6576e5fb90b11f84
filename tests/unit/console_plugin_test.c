/* SPDX-License-Identifier: MIT */
/*
 * console_plugin_test.c - the console's data paths: nothing is lost, reordered or stored without bound, whatever
 * pace the other side has.
 */
#include "tests/unit/console_stream.h"

#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
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

static int connect_to(const char *where)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof to.sun_path, "%s", where);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void assert_takes(int fd, const char *text)
{
	char buf[256] = "";
	size_t n;

	host_settle(dev);
	n = take(fd, buf, sizeof buf - 1);
	buf[n] = '\0';
	assert_string_equal(buf, text);
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

static void a_slow_socket_client_gets_every_byte(void **state)
{
	int client;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	client = connect_to(path);
	assert_true(client >= 0);
	host_settle(dev);
	stream_through(client);
	console_end(dev);
	close(client);
}

static void a_slow_pty_reader_gets_every_byte(void **state)
{
	int client;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "pty", .path = path });
	assert_non_null(strstr(dev->logged, "/dev/pts/"));
	client = open(path, O_RDWR | O_NOCTTY);
	assert_true(client >= 0);
	host_settle(dev);
	stream_through(client);
	close(client);
	console_end(dev);
	assert_int_equal(access(path, F_OK), -1);
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

/* ---- clients that come and go ---- */

static void a_client_gets_the_last_64_kib_from_before_it_came(void **state)
{
	static unsigned char buf[70000];
	size_t got = 0;
	int client;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	guest_says(dev, pattern, 100000);
	guest_says(dev, pattern + 100000, 1000);
	host_settle(dev);
	assert_int_equal(counted(dev, "dropped_bytes"), 101000 - 65536);
	client = connect_to(path);
	host_settle(dev);
	guest_says(dev, "live", 4);
	while (got < 65540) {
		host_settle(dev);
		got += take(client, buf + got, sizeof buf - got);
	}
	assert_memory_equal(buf, pattern + 101000 - 65536, 65536);
	assert_memory_equal(buf + 65536, "live", 4);
	close(client);
	console_end(dev);
}

static void a_client_may_come_after_another(void **state)
{
	int first, second;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	first = connect_to(path);
	guest_says(dev, "one", 3);
	assert_takes(first, "one");
	close(first);
	host_settle(dev);
	guest_says(dev, "two", 3);
	host_settle(dev);
	second = connect_to(path);
	assert_takes(second, "two");
	close(second);
	console_end(dev);
}

static void a_second_client_is_told_so(void **state)
{
	int first, second;
	char buf[64];

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	first = connect_to(path);
	host_settle(dev);
	second = connect_to(path);
	assert_takes(second, "capsa: the console is in use\r\n");
	assert_int_equal(read(second, buf, sizeof buf), 0);
	guest_says(dev, "hello", 5);
	assert_takes(first, "hello");
	close(first);
	close(second);
	console_end(dev);
}

static void what_a_gone_client_typed_reaches_a_slow_guest_first(void **state)
{
	int first, second;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	first = connect_to(path);
	assert_int_equal(write(first, "first", 5), 5);
	host_settle(dev); /* no room: held, so that its end is not seen either */
	close(first);
	host_settle(dev);
	second = connect_to(path);
	assert_int_equal(write(second, "second", 6), 6);
	host_settle(dev);
	guest_says(dev, "hi", 2);
	assert_takes(second, "hi");
	for (unsigned i = 0; i < 4; i++)
		guest_room(dev, 64);
	host_settle(dev);
	assert_int_equal(dev->n_input, 11);
	assert_memory_equal(dev->input, "firstsecond", 11);
	close(second);
	console_end(dev);
}

static void a_client_that_stopped_talking_still_listens(void **state)
{
	int client;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	guest_room(dev, 64);
	client = connect_to(path);
	assert_int_equal(write(client, "ls\n", 3), 3);
	shutdown(client, SHUT_WR);
	host_settle(dev);
	assert_memory_equal(dev->input, "ls\n", 3);
	guest_says(dev, "files", 5);
	assert_takes(client, "files");
	close(client);
	guest_says(dev, "later", 5);
	host_settle(dev);
	client = connect_to(path);
	assert_takes(client, "later");
	close(client);
	console_end(dev);
}

static void the_window_is_told_over_the_control_socket(void **state)
{
	char control_path[600], answer[64] = "";
	int client, control;

	(void)state;
	snprintf(control_path, sizeof control_path, "%s.ctl", path);
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	assert_int_equal(dev->config.cols, 80);
	assert_int_equal(dev->config.rows, 24);
	guest_says(dev, "before", 6);
	host_settle(dev);
	client = connect_to(path);
	control = connect_to(control_path);
	assert_int_equal(write(control, "winsize 100 ", 12), 12);
	host_settle(dev);
	assert_int_equal(dev->told, 1); /* what it begins with: Linux looks when it is told */
	assert_int_equal(write(control, "50\nnonsense\nwinsize 70000 1\n", 28), 28);
	host_settle(dev);
	assert_int_equal(dev->told, 2);
	assert_int_equal(dev->config.cols, 100);
	assert_int_equal(dev->config.rows, 50);
	assert_int_equal(take(control, answer, sizeof answer), 10);
	assert_string_equal(answer, "backlog 6\n");
	close(client);
	close(control);
	console_end(dev);
}

static void what_a_client_had_no_use_for_is_kept_for_the_next(void **state)
{
	char control_path[600], answer[64] = "";
	int client, control;

	(void)state;
	snprintf(control_path, sizeof control_path, "%s.ctl", path);
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	guest_says(dev, "login: ", 7);
	host_settle(dev);
	client = connect_to(path);
	control = connect_to(control_path);
	host_settle(dev);
	assert_int_equal(take(control, answer, sizeof answer), 10);
	guest_says(dev, "more", 4);
	host_settle(dev);
	assert_int_equal(write(control, "consumed 5\n", 11), 11);
	close(control);
	close(client);
	host_settle(dev);
	client = connect_to(path);
	assert_takes(client, ": more");
	close(client);
	console_end(dev);
}

/* A client in a process of its own that has made use of 5 bytes; it has left when this returns. */
static void client_leaves_after_5_bytes(const char *control_path)
{
	int ready[2], go[2], client, control, status;
	char byte = 0;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(go), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(go[1]);
		client = connect_to(path);
		control = connect_to(control_path);
		if (client < 0 || control < 0 || write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 0)
			_exit(1);
		_exit(write(control, "consumed 5\n", 11) != 11);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	host_settle(dev);
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	close(ready[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* One command of a script after the other: the second connects before the first one's end has been seen. */
static void a_client_right_behind_another_gets_the_rest(void **state)
{
	char control_path[600], answer[64] = "";
	int client, control;

	(void)state;
	snprintf(control_path, sizeof control_path, "%s.ctl", path);
	for (unsigned same_process = 0; same_process < 2; same_process++) {
		console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
		guest_says(dev, "login: ", 7);
		host_settle(dev);
		if (same_process) {
			client = connect_to(path);
			control = connect_to(control_path);
			host_settle(dev);
			assert_int_equal(write(control, "consumed 5\n", 11), 11);
			close(control);
			close(client);
		} else {
			client_leaves_after_5_bytes(control_path);
		}
		client = connect_to(path);
		control = connect_to(control_path);
		host_settle(dev);
		memset(answer, 0, sizeof answer);
		assert_int_equal(take(control, answer, sizeof answer), 10);
		assert_string_equal(answer, "backlog 2\n");
		assert_takes(client, ": ");
		close(client);
		close(control);
		console_end(dev);
		free(dev);
		dev = calloc(1, sizeof *dev);
		assert_non_null(dev);
	}
}

static void a_stranger_at_the_control_socket_is_told_so(void **state)
{
	char control_path[600], answer[64] = "";
	int client, control, status;
	pid_t child;

	(void)state;
	snprintf(control_path, sizeof control_path, "%s.ctl", path);
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	client = connect_to(path);
	control = connect_to(control_path);
	host_settle(dev);
	assert_int_equal(take(control, answer, sizeof answer), 10);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		control = connect_to(control_path);
		_exit(!(read(control, answer, sizeof answer) == 5 && memcmp(answer, "busy\n", 5) == 0));
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		host_step(dev, 10);
	assert_int_equal(status, 0);
	assert_int_equal(write(control, "winsize 90 30\n", 14), 14);
	host_settle(dev);
	assert_int_equal(dev->config.cols, 90);
	close(client);
	close(control);
	console_end(dev);
}

static void a_number_that_makes_no_sense_is_no_harm(void **state)
{
	char control_path[600];
	int client, control;

	(void)state;
	snprintf(control_path, sizeof control_path, "%s.ctl", path);
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	client = connect_to(path);
	control = connect_to(control_path);
	guest_says(dev, "abc", 3);
	host_settle(dev);
	assert_int_equal(write(control, "consumed 18446744073709551615\nconsumed -4\n", 42), 42);
	host_settle(dev);
	close(client);
	close(control);
	host_settle(dev);
	client = connect_to(path);
	assert_takes(client, "");
	close(client);
	console_end(dev);
}

static void a_socket_that_was_left_behind_is_replaced(void **state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int old = socket(AF_UNIX, SOCK_STREAM, 0), client;
	struct stat st;

	(void)state;
	snprintf(to.sun_path, sizeof to.sun_path, "%s/x", folder);
	assert_int_equal(bind(old, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(listen(old, 1), 0);
	/* While somebody listens there it is theirs. */
	assert_int_equal(console_configure(dev, (struct console_keys){ .backend = "socket", .path = path }), 0);
	assert_int_equal(dev->plugin->realize(dev->self, &dev->setup), -1);
	assert_non_null(strstr(dev->error, "another process listens"));
	console_destroy(dev);
	assert_int_equal(access(path, F_OK), 0);

	close(old);
	memset(dev, 0, sizeof *dev);
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	client = connect_to(path);
	assert_true(client >= 0);
	close(client);
	console_end(dev);
	assert_int_equal(access(path, F_OK), -1);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	(void)state;
	close(fd);
	for (unsigned i = 0; i < 2; i++) {
		memset(dev, 0, sizeof *dev);
		assert_int_equal(
			console_configure(dev, (struct console_keys){ .backend = i ? "pty" : "socket", .path = path }),
			0);
		assert_int_equal(dev->plugin->realize(dev->self, &dev->setup), -1);
		assert_non_null(strstr(dev->error, "is there already"));
		console_destroy(dev);
		assert_int_equal(access(path, F_OK), 0);
	}
	unlink(path);
}

static void a_path_longer_than_an_address_works(void **state)
{
	char deep[400], link[600];
	int client;

	(void)state;
	snprintf(deep, sizeof deep, "%s/%0150d", folder, 1);
	assert_int_equal(mkdir(deep, 0700), 0);
	snprintf(path, sizeof path, "%s/console.sock", deep);
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	snprintf(link, sizeof link, "%s/l", folder);
	assert_int_equal(symlink(deep, link), 0);
	snprintf(link, sizeof link, "%s/l/console.sock", folder);
	client = connect_to(link);
	assert_true(client >= 0);
	guest_says(dev, "hello", 5);
	assert_takes(client, "hello");
	close(client);
	console_end(dev);
	snprintf(link, sizeof link, "%s/l", folder);
	unlink(link);
	assert_int_equal(rmdir(deep), 0); /* nothing was left in it */
}

static void the_default_socket_is_named_after_the_device(void **state)
{
	static const char *const names[][2] = { { "console0", "console.sock" }, { "debug", "debug.sock" } };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		char expected[600];

		memset(dev, 0, sizeof *dev);
		dev->name = names[i][0];
		dev->runtime = folder;
		console_begin(dev, (struct console_keys){ .backend = "socket" });
		snprintf(expected, sizeof expected, "%s/%s", folder, names[i][1]);
		assert_int_equal(access(expected, F_OK), 0);
		console_end(dev);
		assert_int_equal(access(expected, F_OK), -1);
	}
	memset(dev, 0, sizeof *dev);
	assert_int_equal(console_configure(dev, (struct console_keys){ .backend = "socket" }), 0);
	assert_int_equal(dev->plugin->realize(dev->self, &dev->setup), -1);
	assert_non_null(strstr(dev->error, "path"));
	console_destroy(dev);
}

static void a_socket_elsewhere_is_linked_where_the_verb_looks(void **state)
{
	char link[600], target[600] = "";

	(void)state;
	dev->runtime = folder;
	console_begin(dev, (struct console_keys){ .backend = "socket", .path = path });
	snprintf(link, sizeof link, "%s/console.sock", folder);
	assert_true(readlink(link, target, sizeof target - 1) > 0);
	assert_string_equal(target, path);
	console_end(dev);
	assert_int_equal(access(link, F_OK), -1);
}

static void a_pty_keeps_what_came_before_its_reader(void **state)
{
	char buf[16] = "";
	int client;

	(void)state;
	assert_int_equal(symlink("/dev/pts/999", path), 0); /* left by a killed machine */
	console_begin(dev, (struct console_keys){ .backend = "pty", .path = path });
	guest_says(dev, "before", 6);
	host_settle(dev);
	assert_false(host_step(dev, 0)); /* a hung-up master keeps nobody busy */
	client = open(path, O_RDWR | O_NOCTTY);
	assert_takes(client, "before");
	guest_room(dev, 16);
	assert_int_equal(write(client, "\003\n\021", 3), 3); /* raw: nothing of it is a signal or a flow control */
	host_settle(dev);
	assert_int_equal(dev->n_input, 3);
	close(client);
	host_settle(dev);
	guest_says(dev, "between", 7);
	host_settle(dev);
	assert_false(host_step(dev, 0));
	assert_int_equal(dev->completed[TX], 2);
	client = open(path, O_RDWR | O_NOCTTY);
	assert_takes(client, "between");
	assert_int_equal(take(client, buf, sizeof buf), 0);
	close(client);
	console_end(dev);
}

static void a_pty_tells_its_window_with_the_next_key(void **state)
{
	struct winsize size = { .ws_col = 101, .ws_row = 51 };
	unsigned told;
	int client;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "pty", .path = path });
	guest_room(dev, 64);
	client = open(path, O_RDWR | O_NOCTTY);
	host_settle(dev);
	assert_int_equal(dev->config.cols, 80); /* it has none yet: the configured one */
	told = dev->told;
	assert_int_equal(ioctl(client, TIOCSWINSZ, &size), 0);
	assert_int_equal(write(client, "a", 1), 1);
	host_settle(dev);
	assert_int_equal(dev->config.cols, 101);
	assert_int_equal(dev->config.rows, 51);
	assert_int_equal(dev->told, told + 1);
	assert_int_equal(write(client, "b", 1), 1);
	host_settle(dev);
	assert_int_equal(dev->told, told + 1); /* the same again is no news */
	close(client);
	console_end(dev);
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
		TEST(a_slow_socket_client_gets_every_byte),
		TEST(a_slow_pty_reader_gets_every_byte),
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
		TEST(a_client_gets_the_last_64_kib_from_before_it_came),
		TEST(a_client_may_come_after_another),
		TEST(a_second_client_is_told_so),
		TEST(what_a_gone_client_typed_reaches_a_slow_guest_first),
		TEST(a_client_that_stopped_talking_still_listens),
		TEST(the_window_is_told_over_the_control_socket),
		TEST(what_a_client_had_no_use_for_is_kept_for_the_next),
		TEST(a_client_right_behind_another_gets_the_rest),
		TEST(a_stranger_at_the_control_socket_is_told_so),
		TEST(a_number_that_makes_no_sense_is_no_harm),
		TEST(a_socket_that_was_left_behind_is_replaced),
		TEST(what_is_no_socket_is_left_alone),
		TEST(a_path_longer_than_an_address_works),
		TEST(the_default_socket_is_named_after_the_device),
		TEST(a_socket_elsewhere_is_linked_where_the_verb_looks),
		TEST(a_pty_keeps_what_came_before_its_reader),
		TEST(a_pty_tells_its_window_with_the_next_key),
		TEST(wrong_keys_are_refused_with_a_remedy),
		TEST(two_consoles_do_not_share_standard_output),
	};

	return cmocka_run_group_tests(tests, make_pattern, free_pattern);
}
