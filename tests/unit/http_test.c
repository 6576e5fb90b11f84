/* SPDX-License-Identifier: MIT */
/* http_test.c - the HTTP server of the control socket, with clients of every kind. One thread: the clients are on the
 * loop. */
#include <errno.h>
#include <linux/sockios.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/reactor.h"
#include "core/control/http.h"
#include "core/control/http-parse.h"

enum { LARGE = 4 * 1024 * 1024, HANG_MS = 20000 };

static char folder[64], path[128];
static struct reactor *reactor;
static struct http_server *server;
static struct http_exchange *held;
static struct reactor_timer *hang;
static unsigned n_requests, n_gone;
static size_t last_body;
static char *large;

/* ---- the server's owner ---- */

static void request(void *ctx, struct http_exchange *x)
{
	char text[256];
	const char *body;
	int n;

	(void)ctx;
	n_requests++;
	body = http_body(x, &last_body);
	if (strcmp(http_path(x), "/later") == 0) {
		held = x;
		return;
	}
	if (strcmp(http_path(x), "/large") == 0) {
		http_answer(x, 200, "text/plain", large, LARGE, NULL);
		return;
	}
	if (strcmp(http_path(x), "/vm") != 0) {
		http_answer(x, 404, "text/plain", "none\n", 5, NULL);
		return;
	}
	if (strcmp(http_method(x), "GET") != 0 && strcmp(http_method(x), "PUT") != 0) {
		http_answer(x, 405, "text/plain", "", 0, "GET, PUT");
		return;
	}
	n = snprintf(text, sizeof text, "<%s %s ?%.60s %zu:%.*s>\n", http_method(x), http_path(x), http_query(x),
	             last_body, last_body > 20 ? 20 : (int)last_body, body);
	http_answer(x, 200, "text/plain", text, (size_t)n, NULL);
}

static void gone(void *ctx, struct http_exchange *x)
{
	(void)ctx;
	assert_ptr_equal(x, held);
	held = NULL;
	n_gone++;
}

/* ---- clients ---- */

struct client {
	int fd;
	struct reactor_watch *watch;
	char *got;
	size_t len;
	bool ended;
	const char *until; /* stops the loop once this is in what it got; NULL: once the server has closed */
};

static void hear(void *ctx, int fd, unsigned events)
{
	struct client *c = ctx;
	char bytes[65536];
	ssize_t n = recv(fd, bytes, sizeof bytes, 0);

	(void)events;
	if (n > 0) {
		c->got = realloc(c->got, c->len + (size_t)n + 1);
		memcpy(c->got + c->len, bytes, (size_t)n);
		c->len += (size_t)n;
		c->got[c->len] = '\0';
	} else {
		c->ended = true;
		reactor_watch_set(c->watch, 0);
	}
	if (c->ended || (c->until && strstr(c->got, c->until)))
		reactor_stop(reactor);
}

static void client_open(struct client *c)
{
	struct sockaddr_un address;
	socklen_t len;
	int dirfd;

	*c = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) };
	assert_int_equal(path_unix_address(path, &address, &len, &dirfd), 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&address, len), 0);
	c->watch = reactor_watch_add(reactor, c->fd, REACTOR_READ, hear, c);
	c->got = calloc(1, 1);
}

static void client_close(struct client *c)
{
	reactor_watch_remove(c->watch);
	close(c->fd);
	free(c->got);
}

static void say(struct client *c, const void *bytes, size_t len)
{
	assert_int_equal(send(c->fd, bytes, len, MSG_NOSIGNAL), len);
}

static void say_text(struct client *c, const char *text)
{
	say(c, text, strlen(text));
}

static void hung(void *ctx)
{
	(void)ctx;
	fail_msg("the server does not answer");
}

/* Runs the loop until the client got `until`, or the server has closed. */
static void run_until(struct client *c, const char *until)
{
	c->until = until;
	reactor_timer_set(hang, HANG_MS);
	while (!c->ended && !(until && strstr(c->got, until)))
		reactor_run(reactor);
	reactor_timer_set(hang, -1);
}

static struct client *settling;
static struct reactor_call *settle_call;

static void look_again(void *ctx)
{
	int unread = 0;

	(void)ctx;
	if (ioctl(settling->fd, SIOCOUTQ, &unread) == 0 && unread > 0)
		reactor_call_run(settle_call);
	else
		reactor_stop(reactor);
}

/* Runs the loop until the server has read all that the client said. */
static void settle(struct client *c)
{
	settling = c;
	reactor_call_run(settle_call);
	reactor_run(reactor);
}

/* One connection, one text, until the server closes or the answer has `until`. */
static char *ask(const char *text, const char *until)
{
	struct client c;
	char *got;

	client_open(&c);
	say_text(&c, text);
	run_until(&c, until);
	got = strdup(c.got);
	client_close(&c);
	return got;
}

static void expect_status(const char *text, const char *status)
{
	char *got = ask(text, NULL);

	if (!strstr(got, status))
		fail_msg("\"%.60s\" was answered: %s", text, got);
	free(got);
}

static void expect_answer(const char *text, const char *answer)
{
	char *got = ask(text, answer);

	if (!strstr(got, answer))
		fail_msg("\"%.60s\" was answered: %s", text, got);
	free(got);
}

/* ---- set-up ---- */

static int start(int timeout_ms)
{
	struct http_setup setup = {
		.path = path,
		.timeout_ms = timeout_ms,
		.request = request,
		.gone = gone,
	};
	struct error err = { "" };

	strcpy(folder, "/tmp/capsa-http.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/control.sock", folder);
	reactor_new(&reactor);
	setup.reactor = reactor;
	hang = reactor_timer_add(reactor, hung, NULL);
	settle_call = reactor_call_add(reactor, look_again, NULL);
	held = NULL;
	n_requests = n_gone = 0;
	return http_server_open(&setup, &server, &err);
}

static int setup_server(void **state)
{
	(void)state;
	return start(HTTP_TIMEOUT_MS);
}

static int setup_impatient(void **state)
{
	(void)state;
	return start(20);
}

static int teardown(void **state)
{
	(void)state;
	http_server_close(server);
	server = NULL;
	reactor_timer_remove(hang);
	reactor_call_remove(settle_call);
	reactor_free(reactor);
	return path_remove_tree(folder);
}

/* ---- tests ---- */

#define GET "GET /vm HTTP/1.1\r\nHost: x\r\n\r\n"
#define PUT "PUT /vm?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

static void the_socket_is_the_users_alone(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	http_server_close(server);
	server = NULL;
	assert_int_equal(stat(path, &st), -1);
}

/* "Is ending" is told from "is not there yet". */
static void a_deaf_server_refuses_and_leaves_the_file(void **state)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), dirfd;
	socklen_t len;
	struct stat st;

	(void)state;
	http_server_deafen(server);
	assert_int_equal(path_unix_address(path, &address, &len, &dirfd), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, len), -1);
	assert_int_equal(errno, ECONNREFUSED);
	http_server_close(server);
	server = NULL;
	assert_int_equal(stat(path, &st), 0);
	close(fd);
}

static void a_request_in_one_piece_is_answered(void **state)
{
	(void)state;
	expect_answer(GET, "<GET /vm ? 0:>");
	expect_answer(PUT, "<PUT /vm ?a=b 5:hello>");
	expect_answer("GET http://localhost/vm?x HTTP/1.1\r\n\r\n", "<GET /vm ?x 0:>");
	expect_answer("GET /vm HTTP/1.1\n\n", "<GET /vm ? 0:>");
}

static void a_request_may_be_split_at_every_byte(void **state)
{
	struct client c;

	(void)state;
	for (size_t i = 1; i < sizeof PUT - 1; i++) {
		client_open(&c);
		say(&c, PUT, i);
		settle(&c);
		say(&c, &PUT[i], sizeof PUT - 1 - i);
		run_until(&c, NULL);
		assert_non_null(strstr(c.got, "<PUT /vm ?a=b 5:hello>"));
		client_close(&c);
	}
	client_open(&c);
	for (size_t i = 0; i < sizeof PUT - 1; i++) {
		say(&c, &PUT[i], 1);
		settle(&c);
	}
	run_until(&c, NULL);
	assert_non_null(strstr(c.got, "<PUT /vm ?a=b 5:hello>"));
	client_close(&c);
}

static void a_connection_serves_many_requests(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	for (int i = 0; i < 100; i++) {
		say_text(&c, i % 2 ? GET : "PUT /vm HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
		run_until(&c, i % 2 ? "<GET /vm ? 0:>" : "<PUT /vm ? 3:abc>");
		assert_false(c.ended);
		c.len = 0;
		c.got[0] = '\0';
	}
	client_close(&c);
}

static void what_is_sent_ahead_is_answered_in_order(void **state)
{
	enum { N = 400 };
	struct client c;
	char all[N * 64], text[64], *at;
	size_t len = 0;

	(void)state;
	for (int i = 0; i < N; i++)
		len += (size_t)snprintf(all + len, sizeof all - len, "GET /vm?%d HTTP/1.1\r\n%s\r\n", i,
		                        i == N - 1 ? "Connection: close\r\n" : "");
	client_open(&c);
	say(&c, all, len);
	run_until(&c, NULL);
	at = c.got;
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof text, "<GET /vm ?%d 0:>", i);
		at = strstr(at, text);
		assert_non_null(at);
	}
	assert_int_equal(n_requests, N);
	client_close(&c);
}

static void requests_wait_for_one_that_is_answered_later(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	say_text(&c, "GET /later HTTP/1.1\r\n\r\n" GET);
	settle(&c);
	assert_non_null(held);
	assert_int_equal(n_requests, 1);
	say_text(&c, GET);
	http_answer(held, 200, "text/plain", "late\n", 5, NULL);
	held = NULL;
	run_until(&c, "<GET /vm ? 0:>");
	assert_true(strstr(c.got, "late") < strstr(c.got, "<GET"));
	client_close(&c);
	assert_int_equal(n_gone, 0);
}

/* As socat does behind its input. */
static void a_client_may_close_its_side_and_wait(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	say_text(&c, "GET /later HTTP/1.1\r\n\r\n");
	shutdown(c.fd, SHUT_WR);
	settle(&c);
	look_again(NULL);
	reactor_run(reactor);
	assert_non_null(held);
	http_answer(held, 200, "text/plain", "late\n", 5, NULL);
	run_until(&c, NULL);
	assert_non_null(strstr(c.got, "late"));
	client_close(&c);
	assert_int_equal(n_gone, 0);
}

/* The loop runs until gone() has come. */
static void wait_for_gone(unsigned n)
{
	struct client c;

	while (n_gone < n) {
		/* A whole request of another client passes meanwhile. */
		client_open(&c);
		say_text(&c, GET);
		run_until(&c, "<GET");
		client_close(&c);
	}
}

static void the_owner_hears_of_a_client_that_hangs_up(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	say_text(&c, "GET /later HTTP/1.1\r\n\r\n");
	settle(&c);
	assert_non_null(held);
	client_close(&c);
	wait_for_gone(1);
	/* In the midst of a request nobody is told anything. */
	client_open(&c);
	say(&c, PUT, sizeof PUT - 3);
	settle(&c);
	client_close(&c);
	expect_answer(GET, "<GET");
	assert_int_equal(n_gone, 1);
}

static void too_many_connections_are_told_so(void **state)
{
	struct client c[HTTP_CONNECTIONS_MAX], more;

	(void)state;
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		client_open(&c[i]);
		say_text(&c[i], "GET ");
		settle(&c[i]);
	}
	client_open(&more);
	say_text(&more, GET);
	run_until(&more, NULL);
	assert_non_null(strstr(more.got, "HTTP/1.1 503 "));
	client_close(&more);
	client_close(&c[0]);
	for (bool served = false; !served;) {
		client_open(&more);
		say_text(&more, GET);
		run_until(&more, "\r\n\r\n");
		served = strstr(more.got, "HTTP/1.1 200 ");
		client_close(&more);
	}
	for (size_t i = 1; i < HTTP_CONNECTIONS_MAX; i++)
		client_close(&c[i]);
}

/* A long poll whose client closed first its side, then all: the loop hears nothing of that. */
static void silent_clients_make_room_for_others(void **state)
{
	struct client c, more[HTTP_CONNECTIONS_MAX];

	(void)state;
	client_open(&c);
	say_text(&c, "GET /later HTTP/1.1\r\n\r\n" GET);
	settle(&c);
	assert_non_null(held);
	client_close(&c);
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
		client_open(&more[i]);
		say_text(&more[i], GET);
		run_until(&more[i], "<GET");
		assert_false(more[i].ended);
	}
	assert_int_equal(n_gone, 1);
	for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
		client_close(&more[i]);
}

static void garbage_is_refused(void **state)
{
	static const struct {
		const char *text, *status;
	} cases[] = {
		{ "\r\n\r\n", "400 " },
		{ "hello\r\n\r\n", "400 " },
		{ "GET /vm\r\n\r\n", "400 " },
		{ "GET vm HTTP/1.1\r\n\r\n", "400 " },
		{ "GET  /vm HTTP/1.1\r\n\r\n", "400 " },
		{ "GET /vm HTTP/1.1 \r\n\r\n", "400 " },
		{ "G@T /vm HTTP/1.1\r\n\r\n", "400 " },
		{ "GET /\x01 HTTP/1.1\r\n\r\n", "400 " },
		{ "GET /vm HTTP/2.0\r\n\r\n", "505 " },
		{ "GET /vm FTTP/1.1\r\n\r\n", "400 " },
		{ "\x16\x03\x01\x02\n\n", "400 " },
		{ "GET /vm HTTP/1.1\r\nno colon\r\n\r\n", "400 " },
		{ "GET /vm HTTP/1.1\r\nName : x\r\n\r\n", "400 " },
		{ "GET /vm HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "400 " },
		{ "GET /vm HTTP/1.1\r\nA: \x02\r\n\r\n", "400 " },
		{ "PUT /vm HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "400 " },
		{ "PUT /vm HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", "400 " },
		{ "PUT /vm HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", "400 " },
		{ "PUT /vm HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 " },
		{ "PUT /vm HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 " },
		{ "PUT /vm HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "411 " },
		{ "PUT /vm HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "501 " },
		{ "PUT /vm HTTP/1.1\r\nExpect: gold\r\n\r\n", "417 " },
		{ "PUT /vm HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", "413 " },
		{ "PUT /vm HTTP/1.1\r\nContent-Length: 99999999999999999999999999\r\n\r\n", "413 " },
	};
	struct client c;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		expect_status(cases[i].text, cases[i].status);
	client_open(&c);
	say(&c, "GET /\0vm HTTP/1.1\r\n\r\n", 21);
	run_until(&c, NULL);
	assert_non_null(strstr(c.got, "400 "));
	client_close(&c);
	assert_int_equal(n_requests, 0);
}

static void unknown_paths_and_methods_are_the_owners(void **state)
{
	char *got;

	(void)state;
	expect_answer("GET /nothing HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found");
	got = ask("DELETE /vm HTTP/1.1\r\nConnection: close\r\n\r\n", NULL);
	assert_non_null(strstr(got, "HTTP/1.1 405 Method Not Allowed\r\n"));
	assert_non_null(strstr(got, "\r\nAllow: GET, PUT\r\n"));
	free(got);
}

static void head_is_get_without_the_body(void **state)
{
	char *got = ask("HEAD /vm HTTP/1.1\r\nConnection: close\r\n\r\n", NULL);

	(void)state;
	assert_non_null(strstr(got, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(got, "\r\nContent-Length: 15\r\n"));
	assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
	free(got);
	/* The next answer on that connection has its body. */
	expect_answer("HEAD /vm HTTP/1.1\r\n\r\n" GET, "<GET /vm ? 0:>");
}

static void old_clients_get_one_answer(void **state)
{
	char *got = ask("GET /vm HTTP/1.0\r\n\r\n" GET, NULL);

	(void)state;
	assert_non_null(strstr(got, "\r\nConnection: close\r\n"));
	assert_int_equal(n_requests, 1);
	free(got);
	expect_answer("GET /vm HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\nGET /vm?2 HTTP/1.0\r\n\r\n",
	              "<GET /vm ?2 0:>");
}

static void a_client_that_expects_100_is_told_to_go_on(void **state)
{
	struct client c;

	(void)state;
	client_open(&c);
	say_text(&c, "PUT /vm HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	run_until(&c, "HTTP/1.1 100 Continue\r\n\r\n");
	assert_int_equal(n_requests, 0);
	say_text(&c, "hello");
	run_until(&c, "<PUT /vm ? 5:hello>");
	client_close(&c);
}

static void the_largest_request_is_taken_and_no_larger_one(void **state)
{
	size_t size = HTTP_HEAD_MAX + HTTP_BODY_MAX, at;
	char *text = malloc(size + 1);
	struct client c;

	(void)state;
	memset(text, 'x', size + 1);
	at = (size_t)sprintf(text, "PUT /vm HTTP/1.1\r\nContent-Length: %d\r\nPadding: ", HTTP_BODY_MAX);
	text[at] = 'x';
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
	client_open(&c);
	say(&c, text, HTTP_HEAD_MAX);
	settle(&c);
	say(&c, text + HTTP_HEAD_MAX, HTTP_BODY_MAX);
	run_until(&c, "<PUT /vm ? 65536:xxx");
	assert_int_equal(last_body, HTTP_BODY_MAX);
	client_close(&c);

	memset(text, 'x', size + 1);
	memcpy(text, "PUT /vm HTTP/1.1\r\nPadding: ", 27);
	client_open(&c);
	say(&c, text, HTTP_HEAD_MAX + 1);
	run_until(&c, NULL);
	assert_non_null(strstr(c.got, "HTTP/1.1 431 "));
	client_close(&c);

	/* A body that nobody will read does not hide why. */
	client_open(&c);
	say_text(&c, "PUT /vm HTTP/1.1\r\nContent-Length: 70000\r\n\r\n");
	say(&c, text, 70000);
	run_until(&c, NULL);
	assert_non_null(strstr(c.got, "HTTP/1.1 413 "));
	client_close(&c);
	free(text);
}

static void a_query_survives_a_body_that_comes_late(void **state)
{
	struct client c;
	char body[5000];

	(void)state;
	memset(body, 'b', sizeof body);
	/* It lies in the buffer, which has to grow for the body. */
	client_open(&c);
	say_text(&c, "PUT /vm?question HTTP/1.1\r\nContent-Length: 5000\r\n\r\n");
	for (size_t i = 0; i < sizeof body; i += 100) {
		settle(&c);
		say(&c, body + i, 100);
	}
	run_until(&c, "<PUT /vm ?question 5000:bbb");
	client_close(&c);
}

static void a_slow_reader_gets_all_of_a_large_answer(void **state)
{
	struct client c;
	const char *body;
	int small = 4096;

	(void)state;
	large = malloc(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)('a' + i % 23);
	client_open(&c);
	setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	say_text(&c, "GET /large HTTP/1.1\r\nConnection: close\r\n\r\n");
	settle(&c);
	run_until(&c, NULL);
	body = strstr(c.got, "\r\n\r\n") + 4;
	assert_int_equal(c.len - (size_t)(body - c.got), LARGE);
	assert_memory_equal(body, large, LARGE);
	client_close(&c);
	/* One that goes in the midst takes nothing with it. */
	client_open(&c);
	say_text(&c, "GET /large HTTP/1.1\r\n\r\n");
	settle(&c);
	client_close(&c);
	expect_answer(GET, "<GET");
	free(large);
	large = NULL;
}

static void who_takes_too_long_is_left(void **state)
{
	struct client idle, half;

	(void)state;
	client_open(&idle);
	client_open(&half);
	say_text(&half, "GET /vm HT");
	run_until(&half, NULL);
	assert_non_null(strstr(half.got, "HTTP/1.1 408 "));
	run_until(&idle, NULL);
	assert_int_equal(idle.len, 0);
	client_close(&idle);
	client_close(&half);
}

static void a_long_poll_has_no_time_limit(void **state)
{
	struct client c, other;

	(void)state;
	client_open(&c);
	say_text(&c, "GET /later HTTP/1.1\r\n\r\n");
	settle(&c);
	/* The time of three others passes. */
	for (int i = 0; i < 3; i++) {
		client_open(&other);
		run_until(&other, NULL);
		client_close(&other);
	}
	assert_non_null(held);
	http_answer(held, 200, "text/plain", "late\n", 5, NULL);
	run_until(&c, "late\n");
	client_close(&c);
}

static void who_does_not_read_is_left(void **state)
{
	struct client c, other;

	(void)state;
	large = calloc(1, LARGE);
	memset(large, 'x', LARGE);
	client_open(&c);
	reactor_watch_set(c.watch, 0);
	say_text(&c, "GET /large HTTP/1.1\r\n\r\n");
	settle(&c);
	/* The time of another one passes, which began later. */
	client_open(&other);
	run_until(&other, NULL);
	client_close(&other);
	reactor_watch_set(c.watch, REACTOR_READ);
	run_until(&c, NULL);
	assert_true(c.len < LARGE);
	client_close(&c);
	free(large);
	large = NULL;
}

static void without_descriptors_connections_wait(void **state)
{
	struct rlimit before, none;
	struct client c;
	int fd;

	(void)state;
	client_open(&c);
	say_text(&c, GET);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	fd = dup(0);
	assert_true(fd >= 0);
	close(fd);
	none = before;
	none.rlim_cur = (rlim_t)fd; /* as many as there are */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	settling = &c;
	/* The loop comes to rest: a call that was asked for before is not held up by an event that never ends. */
	reactor_call_run(settle_call);
	for (int i = 0; i < 10; i++) {
		reactor_stop(reactor);
		reactor_run(reactor);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	run_until(&c, "<GET");
	client_close(&c);
}

static void answers_are_on_their_way_after_a_flush(void **state)
{
	struct client c[8];

	(void)state;
	for (size_t i = 0; i < 8; i++) {
		client_open(&c[i]);
		say_text(&c[i], i ? GET : "GET /later HTTP/1.1\r\n\r\n");
		settle(&c[i]);
	}
	http_server_deafen(server);
	assert_non_null(held);
	http_answer(held, 200, "text/plain", "the end\n", 8, NULL);
	http_server_flush(server, 1000);
	http_server_close(server);
	server = NULL;
	for (size_t i = 0; i < 8; i++) {
		run_until(&c[i], NULL);
		assert_non_null(strstr(c[i].got, i ? "<GET" : "the end"));
		client_close(&c[i]);
	}
}

static uint32_t seed;

static uint32_t next_random(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* A request or two with some bytes changed, taken out or doubled. */
static size_t mutate(char *out, size_t room)
{
	static const char base[] = "PUT /vm?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
				   "Transfer-Encoding: chunked\r\nConnection: keep-alive, close\r\n\r\nhello" GET;
	static const char likely[] = "\r\n :/?\0\t,0159HTGx\xff\x7f";
	size_t len = 0;

	for (size_t i = 0; i < sizeof base - 1 && len + 2 < room; i++) {
		switch (next_random() % 60) {
		case 0:
			break;
		case 1:
			out[len++] = base[i];
			out[len++] = base[i];
			break;
		case 2:
			out[len++] = likely[next_random() % sizeof likely];
			break;
		case 3:
			i += next_random() % 30;
			break;
		default:
			out[len++] = base[i];
		}
	}
	return len;
}

static void no_head_leads_the_parser_astray(void **state)
{
	(void)state;
	seed = 1;
	for (int i = 0; i < 100000; i++) {
		char text[600], *exact;
		const char *why;
		struct http_head head;
		size_t len = mutate(text, sizeof text), seen = 0, n;

		n = http_head_length(text, len, &seen);
		if (!n)
			continue;
		/* Nothing behind its end that a reader could stumble into unseen. */
		exact = malloc(n);
		memcpy(exact, text, n);
		if (http_head_parse(exact, n, &head, &why) == 0) {
			assert_true(head.path[0] == '/');
			assert_true(head.path >= exact && head.path < exact + n);
			assert_true(head.body_len <= HTTP_BODY_MAX);
		} else {
			assert_true(strlen(why) > 0);
		}
		free(exact);
	}
}

static void no_client_leads_the_server_astray(void **state)
{
	(void)state;
	seed = 2;
	for (int i = 0; i < 3000; i++) {
		char text[600];
		size_t len = mutate(text, sizeof text), cut = len ? next_random() % len : 0;
		struct client c;

		client_open(&c);
		say(&c, text, cut);
		settle(&c);
		/* The server may have closed already. */
		send(c.fd, text + cut, len - cut, MSG_NOSIGNAL);
		shutdown(c.fd, SHUT_WR);
		run_until(&c, NULL);
		client_close(&c);
	}
	held = NULL;
	expect_answer(GET, "<GET");
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup_server, teardown)
#define IMPATIENT(test) cmocka_unit_test_setup_teardown(test, setup_impatient, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVED(the_socket_is_the_users_alone),
		SERVED(a_deaf_server_refuses_and_leaves_the_file),
		SERVED(a_request_in_one_piece_is_answered),
		SERVED(a_request_may_be_split_at_every_byte),
		SERVED(a_connection_serves_many_requests),
		SERVED(what_is_sent_ahead_is_answered_in_order),
		SERVED(requests_wait_for_one_that_is_answered_later),
		SERVED(a_client_may_close_its_side_and_wait),
		SERVED(the_owner_hears_of_a_client_that_hangs_up),
		SERVED(too_many_connections_are_told_so),
		SERVED(silent_clients_make_room_for_others),
		SERVED(garbage_is_refused),
		SERVED(unknown_paths_and_methods_are_the_owners),
		SERVED(head_is_get_without_the_body),
		SERVED(old_clients_get_one_answer),
		SERVED(a_client_that_expects_100_is_told_to_go_on),
		SERVED(the_largest_request_is_taken_and_no_larger_one),
		SERVED(a_query_survives_a_body_that_comes_late),
		SERVED(a_slow_reader_gets_all_of_a_large_answer),
		IMPATIENT(who_takes_too_long_is_left),
		IMPATIENT(a_long_poll_has_no_time_limit),
		IMPATIENT(who_does_not_read_is_left),
		SERVED(without_descriptors_connections_wait),
		SERVED(answers_are_on_their_way_after_a_flush),
		cmocka_unit_test(no_head_leads_the_parser_astray),
		SERVED(no_client_leads_the_server_astray),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
