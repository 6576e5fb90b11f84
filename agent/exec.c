/* SPDX-License-Identifier: MIT */
/*
 * exec.c - AGENT_EXEC: a command with its streams. Owns our ends of its pipes or its terminal. Called by channel.c.
 *
 *   started -> command_ended: what is in the pipes at that moment still goes out, whoever else may hold them
 *           -> both outlets have ended -> EXIT
 *
 * The channel's end before that (client gone, frame against the rules) abandons the command, which is killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/channel.h"
#include "agent/command.h"
#include "agent/connection.h"
#include "agent/request.h"
#include "agent/server.h"
#include "agent/stream.h"
#include "agent/terminal.h"
#include "agent/text-file.h"
#include "agent/words.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define DEFAULTS 4u       /* PATH, HOME, USER, TERM */
#define CHANGES_MAX 4096u /* of the environment: each is looked for among all others */

struct exec {
	struct channel channel;
	struct inlet input;
	struct outlet output, error;
	struct command *command; /* NULL: it has ended */
	uint32_t flags;
	int how, status;        /* for EXIT */
	uint64_t out_of_memory; /* the kernel's count when it began */
	bool midline;           /* of a terminal's input */
};

/* As it came, in memory that lives as long as the request is handled. */
struct exec_words {
	uint32_t flags;
	uint16_t rows, columns;
	uint64_t timeout;
	char user[256], cwd[REQUEST_PATH_MAX];
	char **argv, **changes, **envp;
	size_t argc, n_changes;
};

/* ---- EXIT ---- */

static uint64_t out_of_memory_count(void)
{
	char text[16384];
	const char *at;

	if (text_file_peek("/proc/vmstat", text, sizeof text) <= 0)
		return 0;
	at = strstr(text, "\noom_kill ");
	return at ? strtoull(at + 10, NULL, 10) : 0;
}

static void exec_check(struct exec *x)
{
	struct connection *connection = x->channel.connection;
	const uint32_t number = x->channel.number;
	unsigned char payload[12];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);
	uint32_t flags = 0;

	if (x->command || x->output.open || x->error.open)
		return;
	/* Nothing else is of use before: the client will end the machine. */
	if (x->flags & AGENT_EXEC_SYNC)
		sync();
	if ((x->how != AGENT_EXITED || x->status != 0) && out_of_memory_count() > x->out_of_memory)
		flags = AGENT_EXIT_OUT_OF_MEMORY;
	agent_write_u32(&w, (uint32_t)x->how);
	agent_write_u32(&w, (uint32_t)x->status);
	agent_write_u32(&w, flags);
	channel_end(&x->channel);
	connection_send(connection, number, AGENT_EXIT, 0, payload, w.used);
}

static void drain(struct outlet *outlet, bool terminal)
{
	int there = 0;

	if (!outlet->open)
		return;
	/*
	 * Of a pipe what is in it now: a background child that goes on writing is not waited for. A terminal is hung up
	 * by the end of its session's leader, so that its end comes by itself.
	 */
	if (terminal || ioctl(outlet->watch.fd, FIONREAD, &there))
		outlet_drain(outlet, UINT64_MAX);
	else
		outlet_drain(outlet, (uint64_t)there);
}

static void command_ended(struct command *command, int status)
{
	struct exec *x = command->owner;

	x->command = NULL;
	x->how = !WIFSIGNALED(status) ? AGENT_EXITED : command->timed_out ? AGENT_TIMED_OUT : AGENT_SIGNALLED;
	x->status = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
	inlet_close(&x->input);
	drain(&x->output, x->flags & AGENT_EXEC_TTY);
	drain(&x->error, false);
	exec_check(x);
}

/* ---- streams ---- */

static void output_ended(struct outlet *outlet, int error)
{
	struct exec *x = (struct exec *)outlet->channel;

	(void)error; /* nothing that a client could do about it */
	/* The other half of a terminal: without it the master is closed, and the session is hung up. */
	if (x->flags & AGENT_EXEC_TTY && x->command)
		inlet_refuse(&x->input);
	exec_check(x);
}

static ssize_t terminal_read(struct outlet *outlet, void *to, size_t room)
{
	const struct exec *x = (const struct exec *)outlet->channel;
	ssize_t n = outlet_read(outlet, to, room);

	/*
	 * Nobody has it open. Programs close their output right before they end: a master that were closed now would
	 * kill them by SIGHUP. And they may open it again.
	 */
	if (n == -EIO)
		return x->command ? -EAGAIN : 0;
	return n;
}

static void input_ended(struct inlet *inlet, int error)
{
	if (error)
		inlet_refuse(inlet);
	else
		inlet_close(inlet);
}

static ssize_t terminal_write(struct inlet *inlet, const void *from, size_t len)
{
	struct exec *x = (struct exec *)inlet->channel;
	ssize_t n = inlet_write(inlet, from, len);

	if (n > 0)
		x->midline = ((const char *)from)[n - 1] != '\n';
	return n;
}

/* A terminal has no end: who reads lines there is told as a person at it would. */
static void terminal_input_ended(struct inlet *inlet, int error)
{
	struct exec *x = (struct exec *)inlet->channel;
	int end = error ? -1 : terminal_end_character(inlet->watch.fd);
	const char text[2] = { (char)end, (char)end };

	/* In the middle of a line the first one only ends the line. */
	if (end >= 0 && write(inlet->watch.fd, text, x->midline ? 2 : 1) < 0)
		error = -errno;
	input_ended(inlet, error);
}

static const struct outlet_ops pipe_out = { .produce = outlet_read, .ended = output_ended };
static const struct outlet_ops terminal_out = { .produce = terminal_read, .ended = output_ended };
static const struct inlet_ops pipe_in = { .consume = inlet_write, .ended = input_ended };
static const struct inlet_ops terminal_in = { .consume = terminal_write, .ended = terminal_input_ended };

/* ---- frames ---- */

static void exec_signal(struct channel *channel, unsigned number)
{
	struct exec *x = (struct exec *)channel;

	if (x->command)
		command_signal(x->command, (int)number);
}

static void exec_resize(struct channel *channel, unsigned rows, unsigned columns)
{
	struct exec *x = (struct exec *)channel;

	if (x->flags & AGENT_EXEC_TTY && x->output.open)
		terminal_resize(x->output.watch.fd, rows, columns);
}

static void exec_cancel(struct channel *channel)
{
	struct exec *x = (struct exec *)channel;

	if (x->command)
		command_kill(x->command);
	outlet_cut(&x->output);
	outlet_cut(&x->error);
}

static void exec_destroy(struct channel *channel)
{
	struct exec *x = (struct exec *)channel;

	channel->connection->server->n_execs--;
	if (x->command)
		command_abandon(x->command);
}

static const struct channel_ops exec_ops = {
	.signal = exec_signal,
	.resize = exec_resize,
	.cancel = exec_cancel,
	.destroy = exec_destroy,
};

/* ---- start ---- */

/* Both ends of the three streams: ours do not block, theirs do. */
struct exec_ends {
	int ours[3], theirs[3];
};

static void close_all(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static int open_pipes(struct exec_ends *ends)
{
	for (unsigned i = 0; i < 3; i++) {
		int ends_of[2];

		if (pipe2(ends_of, O_CLOEXEC))
			return -errno;
		ends->ours[i] = ends_of[i == AGENT_INPUT];
		ends->theirs[i] = ends_of[i != AGENT_INPUT];
		fcntl(ends->ours[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int open_terminal(struct exec_ends *ends, const struct exec_words *words, uid_t owner)
{
	int err = terminal_open(words->rows, words->columns, owner, &ends->ours[AGENT_OUTPUT], &ends->theirs[0]);

	if (err) {
		ends->ours[AGENT_OUTPUT] = ends->theirs[0] = -1;
		return err;
	}
	/* Inlet and outlet are watched each for themselves. */
	ends->ours[AGENT_INPUT] = fcntl(ends->ours[AGENT_OUTPUT], F_DUPFD_CLOEXEC, 3);
	ends->theirs[1] = fcntl(ends->theirs[0], F_DUPFD_CLOEXEC, 3);
	ends->theirs[2] = fcntl(ends->theirs[0], F_DUPFD_CLOEXEC, 3);
	return ends->ours[AGENT_INPUT] < 0 || ends->theirs[1] < 0 || ends->theirs[2] < 0 ? -EMFILE : 0;
}

static int open_streams(struct exec *x, struct exec_ends *ends)
{
	const bool tty = x->flags & AGENT_EXEC_TTY;
	int fd, err;

	fd = ends->ours[AGENT_INPUT];
	ends->ours[AGENT_INPUT] = -1;
	err = inlet_open(&x->input, &x->channel, fd, tty ? &terminal_in : &pipe_in);
	if (err)
		return err;
	fd = ends->ours[AGENT_OUTPUT];
	ends->ours[AGENT_OUTPUT] = -1;
	err = outlet_open(&x->output, &x->channel, AGENT_OUTPUT, fd, tty ? &terminal_out : &pipe_out);
	if (err || tty)
		return err;
	fd = ends->ours[AGENT_ERROR];
	ends->ours[AGENT_ERROR] = -1;
	return outlet_open(&x->error, &x->channel, AGENT_ERROR, fd, &pipe_out);
}

static int find_user(const struct exec_words *words, struct user *user, char *cause, size_t room)
{
	char self[16];
	const char *who = words->user;
	bool group_missing;
	int err;

	/* Run by an ordinary user (tests), it can be nobody else. */
	snprintf(self, sizeof self, "%u", (unsigned)geteuid());
	if (!*who && geteuid() != 0)
		who = self;
	err = user_find(who, "/etc/passwd", "/etc/group", user, &group_missing);
	if (err == -ENOENT)
		snprintf(cause, room, "no such %s in the guest: %s", group_missing ? "group" : "user", who);
	else if (err)
		snprintf(cause, room, "user \"%s\": %s", who, strerror(-err));
	return err;
}

/* The agent's own, then what the client says. `texts` is what the agent's point to. */
static void build_environment(struct exec_words *words, const struct user *user, char (*texts)[272])
{
	size_t n = 0;

	snprintf(texts[0], sizeof *texts, DEFAULT_PATH);
	snprintf(texts[1], sizeof *texts, "HOME=%s", user->home);
	snprintf(texts[2], sizeof *texts, "USER=%s", user->name);
	snprintf(texts[3], sizeof *texts, "TERM=linux");
	words->envp[0] = NULL;
	for (size_t i = 0; i < DEFAULTS; i++)
		if (i < 3 || words->flags & AGENT_EXEC_TTY)
			words_set(words->envp, &n, texts[i]);
	for (size_t i = 0; i < words->n_changes; i++)
		words_set(words->envp, &n, words->changes[i]);
}

/* 0, or an errno with stage and cause. */
static int start(struct exec *x, struct exec_words *words, enum agent_stage *stage, char *cause, size_t room)
{
	struct server *server = x->channel.connection->server;
	struct exec_ends ends = { { -1, -1, -1 }, { -1, -1, -1 } };
	struct exec_plan plan = { 0 };
	char defaults[DEFAULTS][272];
	struct user user;
	int err;

	*stage = AGENT_STAGE_SETUP;
	err = find_user(words, &user, cause, room);
	if (err)
		return -err;
	build_environment(words, &user, defaults);
	x->flags = words->flags;
	err = words->flags & AGENT_EXEC_TTY ? open_terminal(&ends, words, user.uid) : open_pipes(&ends);
	if (!err)
		err = open_streams(x, &ends);
	if (err) {
		snprintf(cause, room, "cannot make its streams: %s", strerror(-err));
		err = -err;
		goto out;
	}
	plan.argv = words->argv;
	plan.envp = words->envp;
	plan.cwd = *words->cwd ? words->cwd : user.home;
	plan.cwd_else = *words->cwd ? NULL : "/";
	plan.user = user.uid == geteuid() && user.gid == getegid() ? NULL : &user;
	plan.files = &server->files;
	memcpy(plan.fds, ends.theirs, sizeof plan.fds);
	plan.terminal = words->flags & AGENT_EXEC_TTY;
	plan.killable = server->protected;
	x->out_of_memory = out_of_memory_count();
	x->command = command_start(server, &plan, words->timeout, command_ended, x);
	err = plan.error;
	if (!x->command) {
		*stage = plan.stage;
		snprintf(cause, room, "%s: %s", plan.failed, strerror(err));
	}
out:
	close_all(ends.ours);
	close_all(ends.theirs);
	return err;
}

static void words_free(struct exec_words *words)
{
	free(words->argv);
	free(words->changes);
	free(words->envp);
}

/* 0, EPROTO or ENOMEM. */
static int words_parse(struct exec_words *words, struct agent_reader *r)
{
	memset(words, 0, sizeof *words);
	words->flags = agent_read_u32(r);
	words->rows = agent_read_u16(r);
	words->columns = agent_read_u16(r);
	words->timeout = agent_read_u64(r);
	agent_read_string(r, words->user, sizeof words->user);
	agent_read_string(r, words->cwd, sizeof words->cwd);
	words->argv = words_read(r, 0, &words->argc);
	if (words->argv)
		words->changes = words_read(r, 0, &words->n_changes);
	if (!r->failed && words->argc > 0)
		words->envp = calloc(words->n_changes + DEFAULTS + 1, sizeof *words->envp);
	if (words->envp && words->changes)
		return 0;
	words_free(words);
	return r->failed || words->argc == 0 ? EPROTO : ENOMEM;
}

static void say_started(struct exec *x)
{
	unsigned char payload[4];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_u32(&w, (uint32_t)x->command->pid);
	connection_send(x->channel.connection, x->channel.number, AGENT_STARTED, 0, payload, w.used);
}

void exec_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	struct exec_words words;
	enum agent_stage stage = AGENT_STAGE_REQUEST;
	char cause[768] = "";
	struct exec *x;
	int err = words_parse(&words, r);

	if (err == EPROTO) {
		request_malformed(connection, number);
		return;
	}
	if (!err && (words.flags & ~(uint32_t)(AGENT_EXEC_TTY | AGENT_EXEC_SYNC) || words.n_changes > CHANGES_MAX)) {
		err = words.n_changes > CHANGES_MAX ? E2BIG : EINVAL;
		words_free(&words);
	}
	if (err) {
		request_result(connection, number, err, "exec");
		return;
	}
	x = channel_create(connection, number, sizeof *x, &exec_ops);
	if (x) {
		connection->server->n_execs++;
		err = start(x, &words, &stage, cause, sizeof cause);
		if (err)
			channel_result(&x->channel, err, stage, cause);
		else
			say_started(x);
	}
	words_free(&words);
}
