/* SPDX-License-Identifier: MIT */
/*
 * ring-virtiofsd.c - a virtiofsd as a side of fs-ring: the front end of vhost-user, as little of it as that takes.
 *
 * The guest's memory is a memfd that both processes map. The messages are those of QEMU's docs/interop/vhost-user,
 * "Front-end message types"; they go over a socket pair's worth of UNIX socket that this process listens on and the
 * server inherits (--fd), so nothing has to be waited for. Both virtiofsds are known: QEMU's in C until 7.2, and the
 * one in Rust; they differ in their options.
 */
#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <signal.h>
#include <unistd.h>

#include "tests/bench/ring-side.h"

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_SET_VRING_ENABLE = 18,
};

#define VHOST_USER_VERSION 1u
#define VHOST_USER_REPLY 4u
#define VHOST_USER_F_PROTOCOL_FEATURES 30u

struct region {
	uint64_t guest, size, user, offset;
};

struct message {
	uint32_t request, flags, size;
	union {
		uint64_t number;
		struct vhost_vring_state state;
		struct vhost_vring_addr addresses;
		struct {
			uint32_t n, padding;
			struct region regions[1];
		} memory;
	};
} __attribute__((packed, aligned(4)));

#define MESSAGE_HEAD offsetof(struct message, number)

struct server {
	struct side side;
	pid_t pid;
	clockid_t clock;
	int socket, memory;
};

/* ---- messages ---- */

static int send_message(int to, struct message *message, size_t payload, int fd)
{
	char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec iov = { .iov_base = message, .iov_len = MESSAGE_HEAD + payload };
	struct msghdr head = { .msg_iov = &iov, .msg_iovlen = 1 };

	message->flags = VHOST_USER_VERSION;
	message->size = (uint32_t)payload;
	if (fd >= 0) {
		struct cmsghdr *c;

		head.msg_control = control;
		head.msg_controllen = sizeof control;
		c = CMSG_FIRSTHDR(&head);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof fd);
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
	}
	return sendmsg(to, &head, MSG_NOSIGNAL) == (ssize_t)iov.iov_len ? 0 : -EPIPE;
}

static int send_number(int to, enum vhost_user_request request, uint64_t number, int fd)
{
	struct message message = { .request = request, .number = number };

	return send_message(to, &message, sizeof number, fd);
}

static int send_state(int to, enum vhost_user_request request, unsigned index, unsigned number)
{
	struct message message = { .request = request, .state = { .index = index, .num = number } };

	return send_message(to, &message, sizeof message.state, -1);
}

static int ask(int to, enum vhost_user_request request, uint64_t *answer)
{
	struct message message = { .request = request };
	int error = send_message(to, &message, 0, -1);

	if (error)
		return error;
	if (recv(to, &message, MESSAGE_HEAD + sizeof message.number, MSG_WAITALL) !=
	    (ssize_t)(MESSAGE_HEAD + sizeof message.number))
		return -EPIPE;
	if (message.request != request || !(message.flags & VHOST_USER_REPLY))
		return -EPROTO;
	*answer = message.number;
	return 0;
}

/* ---- the device ---- */

static int give_memory(const struct server *server)
{
	struct message message = { .request = VHOST_USER_SET_MEM_TABLE };

	message.memory.n = 1;
	message.memory.padding = 0;
	message.memory.regions[0] =
		(struct region){ .size = SIDE_MEMORY, .user = (uint64_t)(uintptr_t)server->side.memory.at };
	return send_message(server->socket, &message, sizeof message.memory, server->memory);
}

static int give_queue(struct server *server, unsigned index)
{
	struct queue *queue = &server->side.queues[index];
	struct message message = { .request = VHOST_USER_SET_VRING_ADDR };
	const uint64_t base = (uint64_t)(uintptr_t)server->side.memory.at;
	const int to = server->socket;
	int error;

	message.addresses = (struct vhost_vring_addr){ .index = index,
		                                       .desc_user_addr = base + queue->desc_at,
		                                       .avail_user_addr = base + queue->avail_at,
		                                       .used_user_addr = base + queue->used_at };
	queue->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	queue->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick < 0 || queue->call < 0)
		return -errno;
	if ((error = send_state(to, VHOST_USER_SET_VRING_NUM, index, QUEUE_SIZE)) ||
	    (error = send_state(to, VHOST_USER_SET_VRING_BASE, index, 0)) ||
	    (error = send_message(to, &message, sizeof message.addresses, -1)) ||
	    (error = send_number(to, VHOST_USER_SET_VRING_KICK, index, queue->kick)) ||
	    (error = send_number(to, VHOST_USER_SET_VRING_CALL, index, queue->call)))
		return error;
	return send_state(to, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

static int negotiate(struct server *server)
{
	const uint64_t needed = 1ull << VHOST_USER_F_PROTOCOL_FEATURES | 1ull << VIRTIO_F_VERSION_1 |
	                        1ull << VIRTIO_RING_F_INDIRECT_DESC;
	const uint64_t wanted = needed | 1ull << VIRTIO_RING_F_EVENT_IDX;
	const int to = server->socket;
	struct message owner = { .request = VHOST_USER_SET_OWNER };
	uint64_t offered, protocol;
	int error;

	if ((error = ask(to, VHOST_USER_GET_FEATURES, &offered)))
		return error;
	if (needed & ~offered)
		return -ENOTSUP;
	if ((error = ask(to, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol)) ||
	    (error = send_number(to, VHOST_USER_SET_PROTOCOL_FEATURES, 0, -1)) ||
	    (error = send_message(to, &owner, 0, -1)) ||
	    (error = send_number(to, VHOST_USER_SET_FEATURES, offered & wanted, -1)) || (error = give_memory(server)))
		return error;
	for (unsigned i = 0; i <= server->side.n_queues; i++) {
		queue_lay(&server->side.queues[i], &server->side.memory, offered >> VIRTIO_RING_F_EVENT_IDX & 1);
		if ((error = give_queue(server, i)))
			return error;
	}
	/* Messages are handled in their order: once this is answered, so is all that came before. */
	return ask(to, VHOST_USER_GET_FEATURES, &offered);
}

/* ---- the process ---- */

static bool is_rust(const char *program)
{
	char *command = NULL, line[1024];
	bool found = false;
	FILE *help;

	if (asprintf(&command, "'%s' --help 2>&1", program) < 0)
		return false;
	help = popen(command, "re");
	free(command);
	if (!help)
		return false;
	while (fgets(line, sizeof line, help))
		found |= strstr(line, "--shared-dir") != NULL;
	pclose(help);
	return found;
}

static void become_server(const char *program, bool rust, int listener, unsigned n_threads,
                          const struct side_options *options)
{
	char source[4200], cache[32], threads[48], fd[32], quiet[] = "log_level=err";

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(threads, sizeof threads, "--thread-pool-size=%u", n_threads);
	snprintf(fd, sizeof fd, "--fd=%d", listener);
	if (rust) {
		snprintf(source, sizeof source, "--shared-dir=%s", options->folder);
		/* Its word for "none" is "never". */
		snprintf(cache, sizeof cache, "--cache=%s", strcmp(options->cache, "none") ? options->cache : "never");
		execl(program, program, fd, source, cache, threads, "--sandbox=chroot", "--log-level=error", NULL);
	} else {
		/* Its seccomp filter does not know the call by which malloc() counts processors, and kills the thread.
		 */
		setenv("MALLOC_ARENA_MAX", "8", 1);
		snprintf(source, sizeof source, "source=%s", options->folder);
		snprintf(cache, sizeof cache, "cache=%s", options->cache);
		execl(program, program, fd, "-o", source, "-o", cache, "-o", "sandbox=chroot", "-o", quiet, threads,
		      "-f", NULL);
	}
	_exit(127);
}

/* A listening socket (*listener) and one that is connected to it. 0 or -errno. */
static int make_sockets(int *listener, int *connected)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	socklen_t len = sizeof name.sun_family; /* the kernel chooses an abstract name */

	*connected = -1;
	*listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (*listener < 0 || bind(*listener, (struct sockaddr *)&name, len) || listen(*listener, 1))
		return -errno;
	len = sizeof name;
	*connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*connected < 0 || getsockname(*listener, (struct sockaddr *)&name, &len) ||
	    connect(*connected, (struct sockaddr *)&name, len))
		return -errno;
	return 0;
}

static uint64_t server_cpu(const struct side *side)
{
	const struct server *server = (const struct server *)(const void *)side;
	struct timespec t = { 0 };

	clock_gettime(server->clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void server_end(struct side *side)
{
	struct server *server = (struct server *)(void *)side;

	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
	for (unsigned i = 0; i <= side->n_queues; i++)
		if (side->queues[i].desc) {
			close(side->queues[i].kick);
			close(side->queues[i].call);
		}
	if (side->memory.at)
		munmap(side->memory.at, side->memory.size);
	close(server->memory);
	close(server->socket);
	free(server);
}

static int make_memory(struct server *server)
{
	void *at;

	server->memory = memfd_create("guest", MFD_CLOEXEC);
	if (server->memory < 0 || ftruncate(server->memory, SIDE_MEMORY))
		return -errno;
	at = mmap(NULL, SIDE_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, server->memory, 0);
	if (at == MAP_FAILED)
		return -errno;
	server->side.memory = (struct guest_memory){ .at = at, .size = SIDE_MEMORY, .next = 4096 };
	return 0;
}

struct side *side_virtiofsd(const struct side_options *options, const char *program, unsigned n_threads, char *why,
                            size_t size)
{
	struct server *server = calloc(1, sizeof *server);
	int listener = -1, error = -ENOMEM;
	bool rust;

	if (!server)
		goto fail;
	server->memory = server->socket = -1;
	rust = is_rust(program);
	server->side = (struct side){ .is_peer = true, .n_queues = 1, .cpu = server_cpu, .end = server_end };
	snprintf(server->side.name, sizeof server->side.name, "virtiofsd in %s, %u threads", rust ? "Rust" : "C",
	         n_threads);
	if ((error = make_memory(server)) || (error = make_sockets(&listener, &server->socket)))
		goto fail;
	server->pid = fork();
	if (server->pid == 0)
		become_server(program, rust, listener, n_threads, options);
	close(listener); /* only the server's: its end is an end of file here */
	listener = -1;
	if (server->pid < 0) {
		error = -errno;
		goto fail;
	}
	error = -clock_getcpuclockid(server->pid, &server->clock);
	if (error || (error = negotiate(server)))
		goto fail;
	return &server->side;
fail:
	snprintf(why, size, "%s: %s", program, error == -EPIPE ? "it has ended (it needs root)" : strerror(-error));
	if (listener >= 0)
		close(listener);
	if (server)
		server_end(&server->side);
	return NULL;
}
