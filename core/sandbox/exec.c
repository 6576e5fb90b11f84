/* SPDX-License-Identifier: MIT */
/*
 * exec.c - see exec.h. Owns the connection, copies of the standard descriptors, the terminal's raw mode.
 *
 *   WAITING ── agent ready ──► RUNNING ── exit ──► DRAINING ── all is written ──► DONE
 *      │                          │                    │
 *      └── a signal, the end of the connection, a refusal: DONE ◄─────┘ (a signal, or its reader went away)
 *
 * Theory of operation. Output: what comes is written at once; what the reader does not take waits in a queue of at most
 * the agent's credit, which is given back only for what was written: a slow reader makes the guest's command wait, and
 * nobody else. A reader that is gone closes the stream: the command gets SIGPIPE, as it would here. One that stands
 * still holds back the news of the command's end, too, which comes behind its output: see stuck(). Input: is read only
 * as far as there is credit, so that what the command does not read stays for the next program. Standard descriptors
 * are used without changing them for others (plugins/console/descriptor.h).
 */
#include "core/sandbox/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/console/descriptor.h"
#include "plugins/console/terminal.h"

/* Signals without an answer after which we leave. */
#define PATIENCE 3u
/* How long output may be held up after a signal. */
#define STUCK_MS 2000
#define PIECE 65536u

enum state { STATE_WAITING, STATE_RUNNING, STATE_DRAINING, STATE_DONE };

struct output {
	struct exec *exec;
	enum agent_stream stream;
	struct descriptor to;
	struct reactor_watch *watch; /* for room; NULL where it needs none */
	unsigned char *queue;        /* AGENT_WINDOW bytes, once needed: [at..len) waits */
	size_t at, len;
	bool gone;   /* nobody takes it any more */
	int failure; /* errno of what is worse than a reader that left */
};

struct exec {
	struct reactor *reactor;
	const struct exec_request *request;
	const struct exec_events *events;
	enum state state;
	struct client *client;
	struct client_channel *channel;
	struct output outputs[2]; /* AGENT_OUTPUT, AGENT_ERROR */
	bool heard;               /* the first byte of output */

	struct descriptor input;
	struct reactor_watch *input_watch; /* NULL: cannot be watched, or not wanted */
	struct reactor_call *input_call;   /* reads on where there is nothing to watch */
	bool input_over, input_is_terminal, terminal_taken;
	int terminal_fd; /* its events */
	struct reactor_watch *terminal_watch;

	struct reactor_signal *signals[8];
	unsigned unanswered;
	struct reactor_timer *signal_timer; /* after one that ends most commands */
	int last_signal;
	uint64_t written, written_then; /* bytes of output; at the signal */
	int status;
	bool lost;
	struct error *err;
};

static const int forwarded[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
#define N_FORWARDED (sizeof forwarded / sizeof forwarded[0])

static void done(struct exec *e, int status)
{
	if (e->state == STATE_DONE)
		return;
	e->state = STATE_DONE;
	e->status = status;
	reactor_stop(e->reactor);
}

/* ---- output ---- */

static void drained(struct exec *e)
{
	if (e->state == STATE_DRAINING && e->outputs[0].at == e->outputs[0].len &&
	    e->outputs[1].at == e->outputs[1].len)
		done(e, e->status);
}

static void consumed(struct output *o, size_t len)
{
	if (o->exec->channel && len > 0)
		client_consumed(o->exec->channel, o->stream, len);
}

static void output_gone(struct output *o, int code)
{
	o->gone = true;
	o->at = o->len = 0;
	if (code != -EPIPE)
		o->failure = -code;
	if (o->watch)
		reactor_watch_set(o->watch, 0);
	if (o->exec->channel)
		client_refuse(o->exec->channel, o->stream);
}

/* How much of it went; the rest is to be tried again when there is room. */
static size_t output_write(struct output *o, const unsigned char *bytes, size_t len)
{
	size_t total = 0;

	while (total < len && !o->gone) {
		struct iovec iov = { .iov_len = len - total };
		ssize_t n;

		memcpy(&iov.iov_base, &(const void *){ bytes + total }, sizeof iov.iov_base);
		n = descriptor_write(&o->to, &iov, 1);
		if (n >= 0) {
			total += (size_t)n;
			o->exec->written += (size_t)n;
		} else if (n != -EAGAIN) {
			output_gone(o, (int)n);
		} else if (descriptor_waits(&o->to)) {
			break;
		}
		/* else a signal came: what cannot be watched never makes us wait for somebody */
	}
	return total;
}

static void output_room(void *ctx, int fd, unsigned events)
{
	struct output *o = ctx;
	size_t n = output_write(o, o->queue + o->at, o->len - o->at);

	(void)fd, (void)events;
	if (!o->gone)
		o->at += n;
	if (o->at == o->len) {
		o->at = o->len = 0;
		if (o->watch)
			reactor_watch_set(o->watch, 0);
	}
	consumed(o, n);
	drained(o->exec);
}

static void output_queue(struct output *o, const unsigned char *bytes, size_t len)
{
	if (!o->queue)
		o->queue = malloc(AGENT_WINDOW);
	if (!o->queue || !o->watch) {
		output_gone(o, -ENOMEM);
		return;
	}
	if (o->at > 0) {
		memmove(o->queue, o->queue + o->at, o->len - o->at);
		o->len -= o->at;
		o->at = 0;
	}
	/* client.c holds the agent to its credit, which is given back for what was written only. */
	if (len > AGENT_WINDOW - o->len)
		len = AGENT_WINDOW - o->len;
	memcpy(o->queue + o->len, bytes, len);
	o->len += len;
	reactor_watch_set(o->watch, REACTOR_WRITE);
}

static void took_data(void *ctx, enum agent_stream stream, const void *bytes, size_t len)
{
	struct exec *e = ctx;
	struct output *o = &e->outputs[stream - AGENT_OUTPUT];
	size_t n = 0;

	e->unanswered = 0;
	if (!e->heard && e->events->output)
		e->events->output(e->events->ctx);
	e->heard = true;
	if (o->at == o->len)
		n = output_write(o, bytes, len);
	if (o->gone)
		return;
	if (n < len)
		output_queue(o, (const unsigned char *)bytes + n, len - n);
	consumed(o, n);
}

static void output_begin(struct exec *e, unsigned i, int fd)
{
	struct output *o = &e->outputs[i];

	*o = (struct output){ .exec = e, .stream = AGENT_OUTPUT + i, .to = descriptor_inherit(fd, O_WRONLY) };
	if (descriptor_waits(&o->to)) {
		o->watch = reactor_watch_add(e->reactor, o->to.fd, REACTOR_WRITE, output_room, o);
		if (o->watch)
			reactor_watch_set(o->watch, 0);
	}
}

static void output_finish(struct output *o)
{
	reactor_watch_remove(o->watch);
	descriptor_close(&o->to);
	free(o->queue);
}

/* ---- input ---- */

static void input_pause(struct exec *e)
{
	if (e->input_watch)
		reactor_watch_set(e->input_watch, 0);
}

static void input_end(struct exec *e)
{
	e->input_over = true;
	input_pause(e);
}

/* In the background the kernel stops whoever reads from the terminal. */
static bool input_may_read(struct exec *e)
{
	if (e->terminal_taken)
		return terminal_ready();
	return !e->input_is_terminal || e->request->input_always || tcgetpgrp(STDIN_FILENO) == getpgrp();
}

/* Once for each call: the loop's other events have their turn in between. */
static void input_read(struct exec *e)
{
	unsigned char piece[PIECE];
	size_t room = e->channel ? client_room(e->channel) : 0;
	ssize_t n;

	if (e->input_over || e->state != STATE_RUNNING)
		return;
	if (room == 0 || !input_may_read(e)) {
		if (room == 0 && e->channel)
			client_send(e->channel, piece, 0); /* asks to be told of room */
		input_pause(e);                            /* until took_room(), or SIGCONT */
		return;
	}
	n = descriptor_read(&e->input, piece, room < sizeof piece ? room : sizeof piece);
	if (n > 0) {
		client_send(e->channel, piece, (size_t)n);
	} else if (n != -EAGAIN) {
		/* The end of a terminal, too: EIO where it was hung up. */
		client_send_end(e->channel);
		input_end(e);
		return;
	}
	if (e->input_watch)
		reactor_watch_set(e->input_watch, REACTOR_READ);
	else
		reactor_call_run(e->input_call);
}

static void input_event(void *ctx, int fd, unsigned events)
{
	(void)fd, (void)events;
	input_read(ctx);
}

static void input_call(void *ctx)
{
	input_read(ctx);
}

/* The watch begins anew, or the reading where there is none. */
static void input_resume(struct exec *e)
{
	if (e->input_over || e->state != STATE_RUNNING)
		return;
	if (e->input_watch)
		reactor_watch_set(e->input_watch, REACTOR_READ);
	else
		reactor_call_run(e->input_call);
}

static void took_room(void *ctx)
{
	input_resume(ctx);
}

/* The command reads no more: nor do we, and what writes to us finds out as it would have from the command. */
static void took_input_closed(void *ctx)
{
	struct exec *e = ctx;
	int nothing;

	input_end(e);
	if (e->input_is_terminal)
		return;
	reactor_watch_remove(e->input_watch);
	e->input_watch = NULL;
	descriptor_close(&e->input);
	nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nothing < 0)
		return; /* then its writer waits: nothing is wrong with the command */
	dup2(nothing, STDIN_FILENO);
	close(nothing);
}

static void input_begin(struct exec *e)
{
	e->input = descriptor_inherit(STDIN_FILENO, O_RDONLY);
	e->input_is_terminal = isatty(STDIN_FILENO);
	e->input_call = reactor_call_add(e->reactor, input_call, e);
	if (descriptor_waits(&e->input)) {
		e->input_watch = reactor_watch_add(e->reactor, e->input.fd, REACTOR_READ, input_event, e);
		input_pause(e);
	}
}

/* ---- the terminal ---- */

static void tell_size(struct exec *e)
{
	unsigned char payload[4];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);
	unsigned cols, rows;

	if (!e->channel || !terminal_window(STDIN_FILENO, &cols, &rows))
		return;
	agent_write_u16(&w, (uint16_t)rows);
	agent_write_u16(&w, (uint16_t)cols);
	client_tell(e->channel, AGENT_RESIZE, payload, w.used);
}

static void terminal_event(void *ctx, int fd, unsigned events)
{
	struct exec *e = ctx;

	(void)fd, (void)events;
	terminal_hear();
	if (terminal_ready())
		input_resume(e);
	tell_size(e);
}

static void terminal_begin(struct exec *e)
{
	if (!e->request->tty || !e->input_is_terminal || terminal_take(STDIN_FILENO, &e->terminal_fd))
		return;
	e->terminal_taken = true;
	e->terminal_watch = reactor_watch_add(e->reactor, e->terminal_fd, REACTOR_READ, terminal_event, e);
	terminal_ready();
}

/* ---- signals ---- */

static void signalled(void *ctx, int signo)
{
	struct exec *e = ctx;
	unsigned char payload[4];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	if (signo == SIGCONT) {
		input_resume(e);
		return;
	}
	if (e->state != STATE_RUNNING || e->unanswered++ == PATIENCE) {
		done(e, 128 + signo);
		return;
	}
	if (signo != SIGUSR1 && signo != SIGUSR2) {
		e->last_signal = signo;
		e->written_then = e->written;
		reactor_timer_set(e->signal_timer, STUCK_MS);
	}
	agent_write_u32(&w, (uint32_t)signo);
	client_tell(e->channel, AGENT_SIGNAL, payload, w.used);
}

/*
 * The agent tells of the command's end behind its last output. Where our reader takes none of that, the news would
 * never come, and a command of this host would have died all the same.
 */
static void stuck(void *ctx)
{
	struct exec *e = ctx;
	bool held_up = e->outputs[0].at < e->outputs[0].len || e->outputs[1].at < e->outputs[1].len;

	if (held_up && e->written == e->written_then) {
		done(e, 128 + e->last_signal);
	} else if (held_up) {
		e->written_then = e->written;
		reactor_timer_set(e->signal_timer, STUCK_MS);
	}
}

static int signals_begin(struct exec *e)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N_FORWARDED; i++) {
		if (reactor_signal_is_ignored(forwarded[i]))
			continue;
		e->signals[n] = reactor_signal_add(e->reactor, forwarded[i], signalled, e);
		if (!e->signals[n++])
			return -ENOMEM;
	}
	if (!e->request->tty)
		e->signals[n] = reactor_signal_add(e->reactor, SIGCONT, signalled, e);
	return 0;
}

/* ---- the command ---- */

static void took_started(void *ctx, uint32_t pid)
{
	struct exec *e = ctx;

	(void)pid;
	if (e->events->started)
		e->events->started(e->events->ctx);
}

static void took_exit(void *ctx, enum agent_exit how, unsigned code, unsigned flags)
{
	struct exec *e = ctx;

	e->channel = NULL;
	input_end(e);
	e->state = STATE_DRAINING;
	switch (how) {
	case AGENT_EXITED:
		e->status = (int)(code & 0xff);
		break;
	case AGENT_SIGNALLED:
		e->status = (int)(128 + (code & 0x7f));
		break;
	case AGENT_TIMED_OUT:
		e->status = EXEC_TIMED_OUT;
		error_set(e->err, ETIMEDOUT, "%s: ended after %g s (--timeout)", e->request->argv[0],
		          (double)e->request->timeout_ms / 1000);
		break;
	}
	if (flags & AGENT_EXIT_OUT_OF_MEMORY)
		error_set(e->err, ENOMEM,
		          "the guest ran out of memory and its kernel ended a process; --memory gives it more");
	drained(e);
}

static void took_result(void *ctx, const struct client_result *result)
{
	struct exec *e = ctx;
	const char *command = e->request->argv[0];
	int code = result->code ? -result->code : EPROTO;

	e->channel = NULL;
	if (result->stage != AGENT_STAGE_COMMAND) {
		error_set(e->err, code, "%s: %s", command, result->cause[0] ? result->cause : strerror(code));
		done(e, EXEC_FAILED);
	} else if (code == ENOENT) {
		error_set(e->err, code, "%s: command not found in the guest", command);
		done(e, EXEC_NOT_FOUND);
	} else {
		error_set(e->err, code, "%s: cannot be executed in the guest: %s", command, strerror(code));
		done(e, EXEC_CANNOT);
	}
}

static const struct client_channel_events channel_events = {
	.data = took_data,
	.room = took_room,
	.input_closed = took_input_closed,
	.started = took_started,
	.exit = took_exit,
	.result = took_result,
};

static size_t list_bytes(const char *const *words)
{
	size_t n = 4;

	for (; words && *words; words++)
		n += 4 + strlen(*words);
	return n;
}

static void client_ready(void *ctx, const struct client_times *times)
{
	static const char *const nothing[] = { NULL };
	struct exec *e = ctx;
	const struct exec_request *request = e->request;
	const char *user = request->user ? request->user : "", *cwd = request->cwd ? request->cwd : "";
	const char *const *env = request->env ? request->env : nothing;
	size_t room = 64 + strlen(user) + strlen(cwd) + list_bytes(request->argv) + list_bytes(env);
	unsigned char *payload = room <= AGENT_FRAME_MAX ? malloc(room) : NULL;
	struct agent_writer w = agent_writer_on(payload, payload ? room : 0);
	unsigned cols = 0, rows = 0;

	if (e->events->ready)
		e->events->ready(e->events->ctx, times);
	if (room > AGENT_FRAME_MAX) {
		error_set(e->err, E2BIG, "%s: arguments and environment are too long", request->argv[0]);
		done(e, EXEC_CANNOT);
		return;
	}
	if (request->tty && !terminal_window(STDIN_FILENO, &cols, &rows))
		terminal_window(STDOUT_FILENO, &cols, &rows);
	agent_write_u32(&w, (request->tty ? AGENT_EXEC_TTY : 0) | (request->sync ? AGENT_EXEC_SYNC : 0));
	agent_write_u16(&w, (uint16_t)rows);
	agent_write_u16(&w, (uint16_t)cols);
	agent_write_u64(&w, request->timeout_ms);
	agent_write_string(&w, user);
	agent_write_string(&w, cwd);
	agent_write_list(&w, request->argv);
	agent_write_list(&w, env);
	if (!w.failed)
		e->channel = client_request(e->client, AGENT_EXEC, payload, w.used, &channel_events, e);
	free(payload);
	if (!e->channel) {
		error_set(e->err, ENOMEM, "no memory");
		done(e, EXEC_FAILED);
		return;
	}
	e->state = STATE_RUNNING;
	terminal_begin(e);
	input_resume(e);
}

static void client_ended(void *ctx, int code, const char *why)
{
	struct exec *e = ctx;

	e->channel = NULL;
	if (e->state == STATE_DRAINING)
		return; /* its last word was heard */
	if (e->state == STATE_DONE)
		return;
	e->lost = code == -EPIPE; /* else it is known what was wrong */
	error_set(e->err, -code, "%s", why);
	done(e, EXEC_FAILED);
}

static const struct client_events client_events = { .ready = client_ready, .ended = client_ended };

int exec_run(struct reactor *reactor, int fd, const struct exec_request *request, const struct exec_events *events,
             bool *lost, struct error *err)
{
	struct exec e = { .reactor = reactor,
		          .request = request,
		          .events = events,
		          .status = EXEC_FAILED,
		          .terminal_fd = -1,
		          .err = err };

	err->text[0] = '\0';
	descriptor_ignore_signals();
	output_begin(&e, 0, STDOUT_FILENO);
	output_begin(&e, 1, STDERR_FILENO);
	input_begin(&e);
	e.signal_timer = reactor_timer_add(reactor, stuck, &e);
	if (signals_begin(&e) || !e.input_call || !e.signal_timer) {
		error_set(err, ENOMEM, "no memory");
		close(fd);
	} else if (!client_open(reactor, fd, &client_events, &e, &e.client, err)) {
		client_expect_greeting(e.client, request->ready_ms);
		reactor_run(reactor);
	}

	client_close(e.client);
	for (unsigned i = 0; i < sizeof e.signals / sizeof e.signals[0]; i++)
		if (e.signals[i])
			reactor_signal_remove(e.signals[i]);
	reactor_watch_remove(e.terminal_watch);
	if (e.terminal_taken)
		terminal_give_back();
	reactor_watch_remove(e.input_watch);
	reactor_call_remove(e.input_call);
	if (e.signal_timer)
		reactor_timer_remove(e.signal_timer);
	descriptor_close(&e.input);
	for (unsigned i = 0; i < 2; i++) {
		int failure = e.outputs[i].failure;

		output_finish(&e.outputs[i]);
		if (!failure || e.status == EXEC_FAILED)
			continue;
		error_set(err, failure, "cannot write standard %s: %s", i ? "error" : "output", strerror(failure));
		e.status = EXEC_FAILED;
	}
	*lost = e.lost;
	return e.status;
}
