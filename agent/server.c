/* SPDX-License-Identifier: MIT */
/*
 * server.c - see server.h. Owns the listener, the link until it is a connection, and the loop. Called by main.c and
 * init.c.
 */
#include "agent/server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <linux/vm_sockets.h>

#include "agent/command.h"
#include "agent/connection.h"
#include "agent/log.h"
#include "agent/protocol.h"
#include "agent/text-file.h"

#define ACCEPTS 16              /* of one turn */
#define FILES_WANTED (1u << 20) /* three for each command */
#define FILES_OF_COMMANDS 1024u /* what programs expect; they may raise it */

uint64_t agent_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* ---- the end ---- */

static void send_order(struct server *s)
{
	s->ordered = false;
	s->last = NULL;
	if (write(s->to_init, &s->order, sizeof s->order) != sizeof s->order)
		agent_log("cannot reach init: %s", strerror(errno));
}

void server_order_shutdown(struct server *s, struct connection *after, const struct shutdown_order *order)
{
	s->order = *order;
	s->ordered = true;
	s->last = after;
}

void server_connection_flushed(struct server *s, struct connection *connection)
{
	if (s->ordered && s->last == connection)
		send_order(s);
}

void server_connection_gone(struct server *s, struct connection *connection)
{
	if (s->ordered && s->last == connection)
		send_order(s);
	/* There may be a descriptor for somebody who waits. */
	loop_queue(&s->loop, &s->accept_task);
}

static bool output_left(const struct server *s)
{
	for (struct link *at = s->connections.next; at != &s->connections; at = at->next)
		if (buffer_used(&container_of(at, struct connection, link)->out) > 0)
			return true;
	return false;
}

/* ---- events ---- */

static void accept_run(struct task *task)
{
	struct server *s = container_of(task, struct server, accept_task);

	for (int i = 0; i < ACCEPTS; i++) {
		struct sockaddr_vm peer = { 0 };
		socklen_t len = sizeof peer;
		int fd = accept4(s->listener, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		/* Out of descriptors: goes on when a connection ends. */
		if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
			return;
		if (fd < 0)
			continue;
		/* Where the kernel has a loopback for vsock, any user of the guest could ask for commands as root. */
		if (!s->path && peer.svm_cid != VMADDR_CID_HOST)
			close(fd);
		else
			connection_open(s, fd);
	}
	loop_queue(&s->loop, task);
}

static void accept_ready(struct watch *watch, uint32_t events)
{
	struct server *s = container_of(watch, struct server, accept_watch);

	(void)events;
	loop_queue(&s->loop, &s->accept_task);
}

static void signal_run(struct task *task)
{
	struct server *s = container_of(task, struct server, signal_task);
	struct signalfd_siginfo info;

	while (read(s->signal_watch.fd, &info, sizeof info) == sizeof info)
		if (info.ssi_signo != SIGCHLD)
			s->leaving = true;
	commands_reap(s);
}

static void signal_ready(struct watch *watch, uint32_t events)
{
	struct server *s = container_of(watch, struct server, signal_watch);

	(void)events;
	loop_queue(&s->loop, &s->signal_task);
}

/* Connected, or refused: then the host does not care, and connects itself when it wants something. */
static void link_run(struct task *task)
{
	struct server *s = container_of(task, struct server, link_task);
	int fd = s->link_watch.fd, err = 0;
	socklen_t len = sizeof err;

	loop_forget(&s->loop, &s->link_watch);
	s->link_watch.fd = -1;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) || err)
		close(fd);
	else
		connection_open(s, fd);
}

static void link_ready(struct watch *watch, uint32_t events)
{
	struct server *s = container_of(watch, struct server, link_watch);

	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		loop_queue(&s->loop, &s->link_task);
}

static void open_link(struct server *s)
{
	const struct sockaddr_vm host = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = AGENT_PORT };
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&host, sizeof host) && errno != EINPROGRESS) {
		close(fd);
		return;
	}
	s->link_watch = (struct watch){ .fd = fd, .ready = link_ready };
	s->link_task.run = link_run;
	if (loop_watch(&s->loop, &s->link_watch, EPOLLOUT)) {
		close(fd);
		s->link_watch.fd = -1;
	}
}

/* ---- the beginning ---- */

static int listen_on(int family, const struct sockaddr *address, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	if (bind(fd, address, len) == 0 && listen(fd, SOMAXCONN) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int listen_vsock(void)
{
	const struct sockaddr_vm address = { .svm_family = AF_VSOCK,
		                             .svm_cid = VMADDR_CID_ANY,
		                             .svm_port = AGENT_PORT };

	return listen_on(AF_VSOCK, (const struct sockaddr *)&address, sizeof address);
}

/* A socket that is there is replaced, but nothing else. */
static int listen_unix(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t before;
	int fd;

	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	before = umask(0177);
	fd = listen_on(AF_UNIX, (const struct sockaddr *)&address, sizeof address);
	umask(before);
	return fd;
}

/* Signals as a command expects them to be, and SIGCHLD and SIGTERM as descriptors. None has a handler. */
static int open_signals(struct server *s)
{
	sigset_t set;

	if (s->path)
		for (int i = 1; i < NSIG; i++)
			signal(i, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	if (s->path)
		sigaddset(&set, SIGINT);
	s->signal_watch = (struct watch){ .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), .ready = signal_ready };
	s->signal_task.run = signal_run;
	/* Not ignored but blocked, like the others: a command's mask is empty again, with nothing else to undo. */
	sigaddset(&set, SIGPIPE);
	if (s->signal_watch.fd < 0 || sigprocmask(SIG_SETMASK, &set, NULL))
		return -errno;
	return loop_watch(&s->loop, &s->signal_watch, EPOLLIN);
}

static void raise_files(struct server *s)
{
	struct rlimit wanted;

	getrlimit(RLIMIT_NOFILE, &s->files);
	wanted.rlim_cur = wanted.rlim_max = s->files.rlim_max > FILES_WANTED ? s->files.rlim_max : FILES_WANTED;
	/* Only root may have more than it was given. */
	if (setrlimit(RLIMIT_NOFILE, &wanted)) {
		wanted.rlim_cur = wanted.rlim_max = s->files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &wanted);
	} else if (!s->path) {
		s->files = (struct rlimit){ .rlim_cur = FILES_OF_COMMANDS, .rlim_max = wanted.rlim_max };
	}
}

static int server_open(struct server *s, const struct server_setup *setup)
{
	int err = loop_open(&s->loop);

	if (err)
		return err;
	list_init(&s->connections);
	list_init(&s->commands);
	s->to_init = setup->to_init;
	s->times = setup->times;
	s->path = setup->socket;
	s->link_watch.fd = -1;
	s->listener = s->path ? listen_unix(s->path) : listen_vsock();
	if (s->listener < 0) {
		agent_log("cannot listen on %s: %s", s->path ? s->path : "vsock", strerror(-s->listener));
		return s->listener;
	}
	s->times.served = agent_now();
	/* The host's answer takes a while: what follows is done meanwhile. */
	if (!s->path)
		open_link(s);
	s->accept_task.run = accept_run;
	s->accept_watch = (struct watch){ .fd = s->listener, .ready = accept_ready };
	err = loop_watch(&s->loop, &s->accept_watch, EPOLLIN);
	if (!err)
		err = open_signals(s);
	if (err)
		return err;
	raise_files(s);
	umask(0);
	if (s->to_init >= 0)
		s->protected = text_file_write("/proc/self/oom_score_adj", "-1000") == 0;
	return chdir("/") ? -errno : 0;
}

/*
 * The machine may end right after the agent. What was written to a vsock lies in a queue of the kernel's: a close that
 * lingers returns when the host has answered it, or when the host does not in time (init does not wait for ever,
 * either).
 */
static void hand_over_output(struct server *s)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 1 };

	for (struct link *at = s->connections.next; at != &s->connections; at = at->next) {
		const int fd = container_of(at, struct connection, link)->watch.fd;

		shutdown(fd, SHUT_RDWR);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
	}
}

static void server_close(struct server *s)
{
	if (!s->path)
		hand_over_output(s);
	while (!list_empty(&s->connections))
		connection_destroy(container_of(s->connections.next, struct connection, link));
	/* They have been killed; so their owner's memory is freed, and nobody waits. */
	while (!list_empty(&s->commands)) {
		struct command *command = container_of(s->commands.next, struct command, link);

		list_remove(&command->link);
		free(command);
	}
	if (s->path)
		unlink(s->path);
	close(s->listener);
	close(s->signal_watch.fd);
	loop_close(&s->loop);
}

int server_run(const struct server_setup *setup)
{
	struct server s = { 0 };
	int err = server_open(&s, setup);

	if (err) {
		if (s.listener >= 0)
			agent_log("cannot serve: %s", strerror(-err));
		return s.listener < 0 ? SERVER_NO_PORT : SERVER_FAILED;
	}
	/* Leaving, the commands have had their SIGTERM from init, and their ends are still told. */
	while (!s.leaving || (s.to_init >= 0 && (s.n_execs > 0 || output_left(&s))))
		loop_turn(&s.loop, commands_expire(&s));
	server_close(&s);
	return SERVER_DONE;
}
