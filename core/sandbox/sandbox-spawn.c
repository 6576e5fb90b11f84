/* SPDX-License-Identifier: MIT */
/*
 * sandbox-spawn.c - a machine's process, seen by who makes it. Called by the verbs run and start; owns the process and
 * the maker's end of the lifeline. sandbox-machine.c has the other end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/sandbox/lifeline.h"
#include "core/sandbox/sandbox.h"
#include "core/sandbox/why.h"

struct sandbox {
	pid_t pid;
	int fd; /* the lifeline */
	bool is_free;
	char *agent_path;
	struct timeline timeline;
};

/* Closes what is above standard error but for two: a pipe of a shell's would not end before the machine does. */
static void close_all_but(int one, int other)
{
	unsigned low = (unsigned)(one < other ? one : other), high = (unsigned)(one < other ? other : one);

	if (low > STDERR_FILENO + 1)
		close_range(STDERR_FILENO + 1, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

/* A session of its own: the terminal's signals are the maker's. */
static void leave_the_maker(const struct sandbox_plan *plan, int lifeline)
{
	int nothing;

	close_all_but(lifeline, plan->image.fd > STDERR_FILENO ? plan->image.fd : lifeline);

	setsid();
	nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (nothing < 0)
		return;
	dup2(nothing, STDIN_FILENO);
	dup2(nothing, STDOUT_FILENO);
	close(nothing);
}

/* What the machine's process does. */
static void be_machine(const struct sandbox_plan *plan, int lifeline)
{
	struct sandbox_machine *machine = NULL;
	struct error err = { "" };
	struct vm *vm = NULL;
	int64_t begin;
	int rc;

	leave_the_maker(plan, lifeline);
	begin = timeline_now();
	rc = vm_open(plan->config, NULL, &vm, &err);
	if (!rc)
		timeline_mark(vm_timeline(vm), "machine's process started", begin);
	if (!rc)
		rc = sandbox_machine_new(vm, lifeline, &machine, &err);
	if (rc) {
		lifeline_send(lifeline, LIFELINE_REFUSED, err.text, strlen(err.text));
		vm_close(vm);
		_exit(EXIT_FAILURE);
	}
	rc = vm_run(vm, &err) == VM_ENDED ? 0 : -EIO;
	sandbox_machine_say_end(machine, vm_end_name(vm), err.text);
	sandbox_machine_free(machine);
	vm_close(vm);
	_exit(rc ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int make_path(struct sandbox *s, const char *name, struct error *err)
{
	char *base = path_runtime_dir(err);

	if (!base)
		return -EIO;
	s->agent_path = text_format("%s/%s/" SANDBOX_AGENT_SOCKET, base, name);
	free(base);
	return s->agent_path ? 0 : error_set(err, ENOMEM, "no memory");
}

int sandbox_spawn(const struct sandbox_plan *plan, struct sandbox **out, struct error *err)
{
	struct sandbox *s = calloc(1, sizeof *s);
	int ends[2] = { -1, -1 }, rc;

	if (!s)
		return error_set(err, ENOMEM, "no memory");
	rc = make_path(s, plan->config->name, err);
	if (rc)
		goto fail;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		rc = error_set(err, errno, "cannot make a socket pair: %s", strerror(errno));
		goto fail;
	}
	fflush(NULL);
	s->pid = fork();
	if (s->pid < 0) {
		rc = error_set(err, errno, "cannot start a process: %s", strerror(errno));
		goto fail;
	}
	if (s->pid == 0) {
		close(ends[0]);
		be_machine(plan, ends[1]);
	}
	close(ends[1]);
	s->fd = ends[0];
	*out = s;
	return 0;

fail:
	if (ends[0] >= 0) {
		close(ends[0]);
		close(ends[1]);
	}
	free(s->agent_path);
	free(s);
	return rc;
}

static void take_timeline(struct sandbox *s, const char *payload, size_t len)
{
	struct timeline_event event;

	for (; len >= sizeof event; payload += sizeof event, len -= sizeof event) {
		memcpy(&event, payload, sizeof event);
		timeline_mark(&s->timeline, event.name, event.ns);
	}
}

/* `payload` ends with a NUL that was not sent. */
static void take_end(const char *payload, size_t len, struct error *err)
{
	const char *words[3] = { payload, "", "" }, *at = payload;

	for (unsigned i = 1; i < 3; i++) {
		at += strlen(at);
		if (at == payload + len)
			break;
		words[i] = ++at;
	}
	sandbox_why_ended(words[0], words[1], words[2], err);
}

enum sandbox_news sandbox_hear(struct sandbox *s, struct error *err)
{
	char payload[LIFELINE_MAX + 1];
	enum lifeline_word word;
	size_t len;

	err->text[0] = '\0';
	for (;;) {
		if (lifeline_receive(s->fd, &word, payload, &len)) {
			if (!err->text[0])
				error_set(err, EPIPE, "the machine's process was killed");
			return SANDBOX_ENDED;
		}
		payload[len] = '\0';
		switch (word) {
		case LIFELINE_OPEN:
			return SANDBOX_OPEN;
		case LIFELINE_READY:
			take_timeline(s, payload, len);
			return SANDBOX_READY;
		case LIFELINE_FREE:
			return SANDBOX_FREE;
		case LIFELINE_REFUSED:
			snprintf(err->text, sizeof err->text, "%.*s", (int)sizeof err->text - 1, payload);
			return SANDBOX_ENDED;
		case LIFELINE_ENDED:
			take_end(payload, len, err);
			return SANDBOX_ENDED;
		case LIFELINE_GO:
			break; /* a word of ours */
		}
	}
}

bool sandbox_ends_within(struct sandbox *s, int ms, struct error *err)
{
	struct pollfd wait = { .fd = s->fd, .events = POLLIN };

	while (poll(&wait, 1, ms) > 0)
		if (sandbox_hear(s, err) == SANDBOX_ENDED)
			return true;
	return false;
}

int sandbox_fd(const struct sandbox *s)
{
	return s->fd;
}

void sandbox_set_free(struct sandbox *s)
{
	s->is_free = lifeline_send(s->fd, LIFELINE_GO, NULL, 0) == 0;
}

const char *sandbox_agent_path(const struct sandbox *s)
{
	return s->agent_path;
}

const struct timeline *sandbox_timeline(const struct sandbox *s)
{
	return &s->timeline;
}

void sandbox_end(struct sandbox *s, struct error *err)
{
	int status;

	err->text[0] = '\0';
	if (s->is_free || s->pid < 0)
		return;
	/* The half towards the machine is closed: it hears that nobody is there, and we still hear its last word. */
	shutdown(s->fd, SHUT_WR);
	while (sandbox_hear(s, err) != SANDBOX_ENDED)
		;
	while (waitpid(s->pid, &status, 0) < 0 && errno == EINTR)
		;
	s->pid = -1;
}

void sandbox_free(struct sandbox *s)
{
	close(s->fd);
	free(s->agent_path);
	free(s);
}
