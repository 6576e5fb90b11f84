/* SPDX-License-Identifier: MIT */
/*
 * copy.c - see copy.h. Owns the connection and the file or tree on the host's side.
 *
 *   into the guest     STAT of the destination ─► TREE_WRITE (or WRITE) ─► INPUT ... END ─► RESULT
 *   out of the guest   TREE_READ (or READ) ─► OUTPUT ... END ─► RESULT
 *
 * Theory of operation: the stream is of agent/tree.h, made and taken by the same code at both ends. What is sent is
 * read from disk only when there is credit for it, a piece for each turn of the loop; what comes is written to disk as
 * it comes, and credit goes back for it. The guest is not believed: the receiver stays below its folder whatever comes.
 */
#include "core/sandbox/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/tree.h"
#include "core/base/path.h"
#include "core/base/text.h"
#include "core/sandbox/client.h"
#include "plugins/console/descriptor.h"

#define PIECE AGENT_DATA_MAX
static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
#define N_SIGNALS (sizeof signals / sizeof signals[0])

struct copy {
	struct reactor *reactor;
	const char *from, *to;
	bool into; /* the guest */
	struct client *client;
	struct client_channel *channel;
	unsigned char payload[2 * PATH_MAX]; /* of the request that is being made: two paths at most */
	struct reactor_signal *signals[N_SIGNALS];

	/* Into: where the bytes come from. */
	struct tree_sender *sender;
	struct reactor_call *more;
	bool all_sent;
	/* Out: where they go. */
	int folder;
	char *folder_name;
	struct tree_receiver *receiver;
	/* "-", in either direction. */
	bool plain;
	struct descriptor stdio;
	struct reactor_watch *stdio_watch;
	unsigned char *kept; /* output that nobody took yet: [at..len) of AGENT_WINDOW bytes */
	size_t at, len;
	bool answered;

	bool over;
	int rc;
	struct copy_end end;
	struct error *err;
};

static void over(struct copy *c, int rc)
{
	if (c->over)
		return;
	c->over = true;
	c->rc = rc;
	reactor_stop(c->reactor);
}

__attribute__((format(printf, 3, 4))) static void failed(struct copy *c, int rc, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (!c->over)
		error_vset(c->err, -rc, fmt, args);
	va_end(args);
	over(c, rc);
}

/* ---- requests ---- */

/* For the payload of one. */
static struct agent_writer words(struct copy *c)
{
	return agent_writer_on(c->payload, sizeof c->payload);
}

static bool ask(struct copy *c, enum agent_type type, const struct agent_writer *w,
                const struct client_channel_events *events)
{
	if (w->failed) {
		failed(c, -ENAMETOOLONG, "%s: %s", c->into ? c->to : c->from, strerror(ENAMETOOLONG));
		return false;
	}
	c->channel = client_request(c->client, type, c->payload, w->used, events, c);
	if (!c->channel)
		failed(c, -ENOMEM, "no memory");
	return c->channel != NULL;
}

/* ---- names ---- */

/* The last component, without slashes behind it; the caller frees. NULL: there is none to use, or no memory. */
static char *last_name(const char *path)
{
	size_t len = strlen(path), begin;

	while (len > 0 && path[len - 1] == '/')
		len--;
	begin = len;
	while (begin > 0 && path[begin - 1] != '/')
		begin--;
	if (begin == len || (len - begin <= 2 && strncmp(path + begin, "..", len - begin) == 0))
		return NULL;
	return strndup(path + begin, len - begin);
}

/* The folder above it; the caller frees. */
static char *folder_above(const char *path)
{
	size_t len = strlen(path);
	char *trimmed, *folder;

	while (len > 1 && path[len - 1] == '/')
		len--;
	trimmed = strndup(path, len);
	folder = trimmed ? path_dirname(trimmed) : NULL;
	free(trimmed);
	return folder;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* "FOLDER/.": its contents are meant. */
static bool means_contents(const char *path)
{
	return strcmp(path, ".") == 0 || ends_with(path, "/.");
}

/*
 * Folder and name of the copy. `is_folder`: the destination is one that is there. `source_name`: the source's last
 * name, or NULL where it has none. 0 or -errno with err; *name and *folder are the caller's.
 */
static int place(const char *from, const char *to, bool is_folder, const char *source_name, char **folder, char **name,
                 struct error *err)
{
	bool inside = is_folder && !means_contents(from);

	*folder = inside ? strdup(to) : folder_above(to);
	*name = inside ? (source_name ? strdup(source_name) : NULL) : last_name(to);
	if (*folder && *name)
		return 0;
	if (inside)
		return error_set(err, EINVAL, "%s: has no name of its own; say what the copy is to be called", from);
	/* "N:/" or ".": a folder without a name; its contents go there through a name that it has in itself. */
	return error_set(err, EINVAL, "%s: cannot be replaced; name a folder in it", to);
}

/* ---- into the guest ---- */

/* Refers to the bytes of standard input or of the tree. */
static ssize_t next_bytes(struct copy *c, void *to, size_t len, struct tree_cause *cause)
{
	ssize_t n;

	if (!c->plain)
		return tree_sender_read(c->sender, to, len, cause);
	n = descriptor_read(&c->stdio, to, len);
	if (n < 0 && n != -EAGAIN)
		snprintf(cause->text, sizeof cause->text, "standard input: %s", strerror((int)-n));
	return n;
}

static void send_more(void *ctx)
{
	struct copy *c = ctx;
	unsigned char piece[PIECE];
	struct tree_cause cause;
	size_t room = c->channel ? client_room(c->channel) : 0;
	ssize_t n;

	if (c->over || c->all_sent || !c->channel)
		return;
	if (room == 0) {
		client_send(c->channel, piece, 0); /* asks to be told of room */
		if (c->stdio_watch)
			reactor_watch_set(c->stdio_watch, 0);
		return;
	}
	n = next_bytes(c, piece, room < sizeof piece ? room : sizeof piece, &cause);
	if (n == -EAGAIN && c->plain) {
		if (c->stdio_watch)
			reactor_watch_set(c->stdio_watch, REACTOR_READ);
		else
			reactor_call_run(c->more); /* a signal came */
		return;
	}
	if (n < 0) {
		failed(c, (int)n, "%s", cause.text);
	} else if (n == 0) {
		c->all_sent = true;
		if (c->stdio_watch)
			reactor_watch_set(c->stdio_watch, 0);
		client_send_end(c->channel);
	} else {
		client_send(c->channel, piece, (size_t)n);
		reactor_call_run(c->more);
	}
}

static void input_ready(void *ctx, int fd, unsigned events)
{
	struct copy *c = ctx;

	(void)fd, (void)events;
	reactor_watch_set(c->stdio_watch, 0);
	send_more(c);
}

/* The agent wants no more: its result says why. */
static void input_closed(void *ctx)
{
	struct copy *c = ctx;

	c->all_sent = true;
}

static void written(void *ctx, const struct client_result *result)
{
	struct copy *c = ctx;

	c->channel = NULL;
	if (result->code)
		failed(c, result->code, "%s in the guest: %s", c->to,
		       result->cause[0] ? result->cause : strerror(-result->code));
	else
		over(c, 0);
}

static const struct client_channel_events into_events = {
	.room = send_more,
	.input_closed = input_closed,
	.result = written,
};

static void begin_plain_write(struct copy *c)
{
	struct agent_writer w = words(c);

	agent_write_string(&w, c->to);
	agent_write_u32(&w, 0644);
	agent_write_u32(&w, 0);
	c->stdio = descriptor_inherit(STDIN_FILENO, O_RDONLY);
	if (descriptor_waits(&c->stdio))
		c->stdio_watch = reactor_watch_add(c->reactor, c->stdio.fd, REACTOR_READ, input_ready, c);
	if (descriptor_waits(&c->stdio) && !c->stdio_watch)
		failed(c, -ENOMEM, "no memory");
	else if (ask(c, AGENT_WRITE, &w, &into_events))
		send_more(c);
}

static void begin_tree_write(struct copy *c, bool is_folder)
{
	char *folder = NULL, *name = NULL, *source_name = last_name(c->from), *real = NULL;
	struct agent_writer w = words(c);
	int rc;

	/* "." and "..": what the folder is really called. */
	if (!source_name && (real = realpath(c->from, NULL)))
		source_name = last_name(real);
	rc = place(c->from, c->to, is_folder, source_name, &folder, &name, c->err);
	if (rc) {
		over(c, rc);
		goto out;
	}
	agent_write_string(&w, folder);
	agent_write_string(&w, name);
	if (ask(c, AGENT_TREE_WRITE, &w, &into_events))
		send_more(c);
out:
	free(real);
	free(source_name);
	free(folder);
	free(name);
}

static void destination_known(void *ctx, const struct client_result *result)
{
	struct copy *c = ctx;
	struct agent_reader r = result->rest;
	uint32_t mode;
	size_t len;

	c->channel = NULL;
	agent_read_bytes(&r, &len);
	mode = agent_read_u32(&r);
	if (result->code && result->code != -ENOENT)
		failed(c, result->code, "%s in the guest: %s", c->to, strerror(-result->code));
	else if (result->code && ends_with(c->to, "/"))
		failed(c, -ENOENT, "%s: no such folder in the guest", c->to);
	else
		begin_tree_write(c, !result->code && S_ISDIR(mode));
}

/* ---- out of the guest ---- */

static void output_flush(struct copy *c)
{
	while (c->at < c->len && !c->over) {
		struct iovec iov = { .iov_base = c->kept + c->at, .iov_len = c->len - c->at };
		ssize_t n = descriptor_write(&c->stdio, &iov, 1);

		if (n == -EAGAIN && c->stdio_watch) {
			reactor_watch_set(c->stdio_watch, REACTOR_WRITE);
			return;
		}
		if (n == -EAGAIN)
			continue; /* a signal came */
		if (n == -EPIPE)
			c->end.signal = SIGPIPE;
		if (n < 0) {
			failed(c, (int)n, "cannot write standard output: %s", strerror((int)-n));
			return;
		}
		c->at += (size_t)n;
		if (c->channel)
			client_consumed(c->channel, AGENT_OUTPUT, (size_t)n);
	}
	c->at = c->len = 0;
	if (c->stdio_watch)
		reactor_watch_set(c->stdio_watch, 0);
	if (c->answered)
		over(c, 0);
}

static void output_room(void *ctx, int fd, unsigned events)
{
	(void)fd, (void)events;
	output_flush(ctx);
}

static void output_keep(struct copy *c, const void *bytes, size_t len)
{
	if (c->at > 0) {
		memmove(c->kept, c->kept + c->at, c->len - c->at);
		c->len -= c->at;
		c->at = 0;
	}
	if (len > AGENT_WINDOW - c->len)
		len = AGENT_WINDOW - c->len; /* cannot be: client.c holds the agent to its credit */
	memcpy(c->kept + c->len, bytes, len);
	c->len += len;
	output_flush(c);
}

static void came(void *ctx, enum agent_stream stream, const void *bytes, size_t len)
{
	struct copy *c = ctx;
	struct tree_cause cause;
	int rc;

	if (c->over || stream != AGENT_OUTPUT)
		return;
	if (c->plain) {
		output_keep(c, bytes, len);
		return;
	}
	rc = tree_receiver_write(c->receiver, bytes, len, &cause);
	if (rc)
		failed(c, rc, "%s: %s", c->folder_name, cause.text);
	else
		client_consumed(c->channel, AGENT_OUTPUT, len);
}

static void sent(void *ctx, const struct client_result *result)
{
	struct copy *c = ctx;
	struct tree_cause cause;
	int rc = 0;

	c->channel = NULL;
	c->answered = true;
	if (result->code) {
		failed(c, result->code, "%s in the guest: %s", c->from,
		       result->cause[0] ? result->cause : strerror(-result->code));
		return;
	}
	if (c->plain) {
		output_flush(c);
		return;
	}
	rc = tree_receiver_finish(c->receiver, &cause);
	if (rc)
		failed(c, rc, "%s: %s", c->folder_name, cause.text);
	else
		over(c, 0);
}

static const struct client_channel_events out_events = { .data = came, .result = sent };

static void begin_plain_read(struct copy *c)
{
	struct agent_writer w = words(c);

	agent_write_string(&w, c->from);
	agent_write_u64(&w, 0);
	agent_write_u64(&w, 0);
	c->kept = malloc(AGENT_WINDOW);
	c->stdio = descriptor_inherit(STDOUT_FILENO, O_WRONLY);
	if (descriptor_waits(&c->stdio)) {
		c->stdio_watch = reactor_watch_add(c->reactor, c->stdio.fd, REACTOR_WRITE, output_room, c);
		if (c->stdio_watch)
			reactor_watch_set(c->stdio_watch, 0);
	}
	if (!c->kept || (!c->stdio_watch && descriptor_waits(&c->stdio)))
		failed(c, -ENOMEM, "no memory");
	else
		ask(c, AGENT_READ, &w, &out_events);
}

static void begin_tree_read(struct copy *c)
{
	char *folder = NULL, *name = NULL, *source_name = last_name(c->from), *real = NULL;
	struct agent_writer w = words(c);
	struct tree_cause cause;
	struct stat st;
	bool is_folder = !stat(c->to, &st) && S_ISDIR(st.st_mode);
	int rc;

	/* Contents go into the folder by its name: "." has none. */
	if (is_folder && means_contents(c->from))
		real = realpath(c->to, NULL);
	if (!is_folder && ends_with(c->to, "/"))
		rc = error_set(c->err, ENOENT, "%s: no such folder", c->to);
	else
		rc = place(c->from, real ? real : c->to, is_folder, source_name, &folder, &name, c->err);
	if (rc) {
		over(c, rc);
		goto out;
	}
	c->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->folder < 0) {
		failed(c, -errno, "%s: %s", folder, strerror(errno));
		goto out;
	}
	rc = tree_receiver_open(c->folder, name, 0, &c->receiver, &cause);
	if (rc) {
		failed(c, rc, "%s: %s", folder, cause.text);
		goto out;
	}
	agent_write_string(&w, c->from);
	ask(c, AGENT_TREE_READ, &w, &out_events);
out:
	c->folder_name = folder;
	free(real);
	free(source_name);
	free(name);
}

/* ---- both ---- */

static void ask_for_destination(struct copy *c)
{
	static const struct client_channel_events events = { .result = destination_known };
	struct agent_writer w = words(c);

	agent_write_string(&w, c->to);
	agent_write_u32(&w, 1);
	ask(c, AGENT_STAT, &w, &events);
}

static void agent_ready(void *ctx, const struct client_times *times)
{
	struct copy *c = ctx;

	(void)times;
	if (c->into && c->plain)
		begin_plain_write(c);
	else if (c->into)
		ask_for_destination(c);
	else if (c->plain)
		begin_plain_read(c);
	else
		begin_tree_read(c);
}

static void agent_ended(void *ctx, int code, const char *why)
{
	struct copy *c = ctx;

	c->channel = NULL;
	if (c->answered || c->over)
		return;
	c->end.lost = code == -EPIPE;
	failed(c, code, "%s", why);
}

static void signalled(void *ctx, int signo)
{
	struct copy *c = ctx;

	if (!c->over)
		c->end.signal = signo;
	failed(c, -EINTR, "interrupted");
}

static int copy_run(struct copy *c, int fd, int64_t ready_ms, struct copy_end *end)
{
	static const struct client_events events = { .ready = agent_ready, .ended = agent_ended };
	struct tree_cause cause;

	descriptor_ignore_signals();
	c->more = reactor_call_add(c->reactor, send_more, c);
	for (unsigned i = 0; i < N_SIGNALS; i++)
		if (!reactor_signal_is_ignored(signals[i]))
			c->signals[i] = reactor_signal_add(c->reactor, signals[i], signalled, c);
	/* Before anything is asked of the guest: most mistakes are found here. */
	if (c->into && !c->plain && (c->rc = tree_sender_open(AT_FDCWD, c->from, &c->sender, &cause))) {
		error_set(c->err, -c->rc, "%s", cause.text);
		close(fd);
	} else if (!c->more) {
		c->rc = error_set(c->err, ENOMEM, "no memory");
		close(fd);
	} else if (!(c->rc = client_open(c->reactor, fd, &events, c, &c->client, c->err))) {
		client_expect_greeting(c->client, ready_ms);
		reactor_run(c->reactor);
	}
	client_close(c->client);
	for (unsigned i = 0; i < N_SIGNALS; i++)
		if (c->signals[i])
			reactor_signal_remove(c->signals[i]);
	reactor_call_remove(c->more);
	reactor_watch_remove(c->stdio_watch);
	descriptor_close(&c->stdio);
	tree_sender_close(c->sender);
	tree_receiver_close(c->receiver);
	if (c->folder >= 0)
		close(c->folder);
	free(c->folder_name);
	free(c->kept);
	*end = c->end;
	return c->rc;
}

int copy_into_guest(struct reactor *reactor, int fd, const char *from, const char *to, int64_t ready_ms,
                    struct copy_end *end, struct error *err)
{
	struct copy c = { .reactor = reactor,
		          .from = from,
		          .to = to,
		          .into = true,
		          .plain = strcmp(from, "-") == 0,
		          .folder = -1,
		          .stdio = { .fd = -1 },
		          .err = err };

	return copy_run(&c, fd, ready_ms, end);
}

int copy_out_of_guest(struct reactor *reactor, int fd, const char *from, const char *to, int64_t ready_ms,
                      struct copy_end *end, struct error *err)
{
	struct copy c = { .reactor = reactor,
		          .from = from,
		          .to = to,
		          .plain = strcmp(to, "-") == 0,
		          .folder = -1,
		          .stdio = { .fd = -1 },
		          .err = err };

	return copy_run(&c, fd, ready_ms, end);
}
