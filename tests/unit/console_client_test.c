/* SPDX-License-Identifier: MIT */
/*
 * console_client_test.c - clients of the console's socket and readers of its pty, which come and go: each has what came
 * before it, nothing twice, and nobody's place is taken.
 */
#include "tests/unit/console_stream.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static int teardown(void **state)
{
	(void)state;
	free(dev);
	return 0;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_slow_socket_client_gets_every_byte),
		TEST(a_slow_pty_reader_gets_every_byte),
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
	};

	return cmocka_run_group_tests(tests, make_pattern, free_pattern);
}
