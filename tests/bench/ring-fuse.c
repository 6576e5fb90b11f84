/* SPDX-License-Identifier: MIT */
/* ring-fuse.c - see ring-fuse.h; struct and opcode names are those of <linux/fuse.h>. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/ring-fuse.h"

#define DATA_PAGES 256u
#define TABLE_MAX (DATA_PAGES + 4u)
#define FORGETS 512u
#define ENTRY_HEAD offsetof(struct fuse_direntplus, dirent.name)
#define MINOR 37u /* Linux 6.1 */

struct message {
	enum fuse_opcode opcode;
	uint64_t node;
	const void *args;
	size_t args_len;
	const char *name;                   /* behind the arguments */
	uint32_t data_out, data_in, answer; /* bytes: pages to the server, pages from it, fixed answer */
};

struct actor {
	struct stream *stream;
	unsigned number;
	struct queue *queue;
	uint64_t table_at, head_at, data_at; /* guest addresses */
	struct vring_desc *table;
	uint8_t *head, *data;

	const struct step *script, *step;
	uint64_t unique;
	uint32_t round;
	uint64_t offset; /* of the READ or WRITE that is out, of the READDIRPLUS to come */
	uint64_t nodes[THINGS], handles[THINGS];
	char names[THINGS][32];
};

struct forget {
	struct {
		struct fuse_in_header header;
		struct fuse_forget_in args;
	} * request;
	uint64_t table_at;
};

struct stream {
	struct side *side;
	struct actor actors[ACTORS_MAX];
	struct forget forgets[FORGETS];
	struct forget *idle_forgets[FORGETS];
	unsigned n_idle;
	unsigned busy;   /* actors that have not come to their end */
	uint32_t rounds; /* still to be begun */
	uint64_t unique;
	uint64_t requests, bytes;
};

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- files on the host ---- */

static uint64_t big_stamp(uint64_t offset)
{
	return (offset / PAGE + 1) * 0x9e3779b97f4a7c15u;
}

static uint64_t own_stamp(unsigned actor, uint64_t offset)
{
	return big_stamp(offset) ^ (uint64_t)(actor + 1) << 56;
}

static void write_file(int folder, const char *name, uint64_t size, bool stamped)
{
	static uint8_t page[PAGE];
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		err(1, "%s", name);
	memset(page, 0, sizeof page);
	for (uint64_t at = 0; at < size; at += PAGE) {
		uint64_t stamp = stamped ? big_stamp(at) : 0;

		memcpy(page, &stamp, sizeof stamp);
		if (write(fd, page, PAGE) != PAGE)
			err(1, "%s", name);
	}
	close(fd);
}

void fuse_make_files(const char *path)
{
	int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[64];

	if (folder < 0 || mkdirat(folder, "folder", 0755) || mkdirat(folder, "work", 0755))
		err(1, "%s", path);
	for (unsigned i = 0; i < SMALL_FILES; i++) {
		snprintf(name, sizeof name, "folder/small-%03u", i);
		write_file(folder, name, PAGE, true);
	}
	write_file(folder, "big", BIG_SIZE, true);
	for (unsigned i = 0; i < ACTORS_MAX; i++) {
		snprintf(name, sizeof name, "own-%02u", i);
		write_file(folder, name, OWN_SIZE, false);
	}
	close(folder);
}

void fuse_check_files(const char *path, unsigned actors)
{
	int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t stamp;
	char name[64];

	for (unsigned i = 0; i < actors; i++) {
		unsigned right = 0;
		int fd;

		snprintf(name, sizeof name, "own-%02u", i);
		fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
		for (uint64_t at = 0; at < OWN_SIZE; at += PAGE) {
			if (pread(fd, &stamp, sizeof stamp, (off_t)at) != sizeof stamp)
				err(1, "%s", name);
			if (stamp && stamp != own_stamp(i, at))
				errx(1, "%s at %llu is not what was written", name, (unsigned long long)at);
			right += stamp != 0;
		}
		close(fd);
		if (!right)
			errx(1, "%s: nothing has been written", name);
	}
	close(folder);
}

/* ---- one request ---- */

static void describe(struct actor *actor, unsigned *n, uint64_t address, uint32_t len, uint16_t flags)
{
	actor->table[*n] = (struct vring_desc){
		.addr = address, .len = len, .flags = (uint16_t)(flags | VRING_DESC_F_NEXT), .next = (uint16_t)(*n + 1)
	};
	++*n;
}

/* Last page first, so that no two make one piece of memory. */
static uint8_t *data_page(const struct actor *actor, unsigned i)
{
	return actor->data + (DATA_PAGES - 1 - i) * PAGE;
}

static void describe_pages(struct actor *actor, unsigned *n, uint32_t len, uint16_t flags)
{
	for (unsigned i = 0; i * PAGE < len; i++)
		describe(actor, n, actor->data_at + (DATA_PAGES - 1 - i) * PAGE,
		         len - i * PAGE < PAGE ? len - i * PAGE : PAGE, flags);
}

/* The head's page: request from its beginning, answer from its middle. */
#define ANSWER_AT (PAGE / 2)

static void post(struct actor *actor, const struct message *message)
{
	const size_t name_len = message->name ? strlen(message->name) + 1 : 0;
	const size_t args_len = message->args_len + name_len;
	struct fuse_in_header header = {
		.len = (uint32_t)(sizeof header + args_len + message->data_out),
		.opcode = message->opcode,
		.unique = actor->unique = ++actor->stream->unique * 2,
		.nodeid = message->node,
		.uid = geteuid(),
		.gid = getegid(),
		.pid = 1,
	};
	unsigned n = 0;

	memcpy(actor->head, &header, sizeof header);
	if (message->args_len)
		memcpy(actor->head + sizeof header, message->args, message->args_len);
	if (name_len)
		memcpy(actor->head + sizeof header + message->args_len, message->name, name_len);
	describe(actor, &n, actor->head_at, sizeof header, 0);
	if (args_len)
		describe(actor, &n, actor->head_at + sizeof header, (uint32_t)args_len, 0);
	describe_pages(actor, &n, message->data_out, 0);
	describe(actor, &n, actor->head_at + ANSWER_AT, sizeof(struct fuse_out_header), VRING_DESC_F_WRITE);
	if (message->answer)
		describe(actor, &n, actor->head_at + ANSWER_AT + sizeof(struct fuse_out_header), message->answer,
		         VRING_DESC_F_WRITE);
	describe_pages(actor, &n, message->data_in, VRING_DESC_F_WRITE);
	actor->table[n - 1].flags &= (uint16_t)~VRING_DESC_F_NEXT;
	queue_post(actor->queue, actor->table_at, n, actor);
	actor->stream->requests++;
}

/* The answer's fixed part and, in *data, how many bytes of pages came with it. */
static const void *answer(const struct actor *actor, uint32_t written, const char *what, uint32_t fixed, uint32_t *data)
{
	const uint8_t *at = actor->head + ANSWER_AT;
	struct fuse_out_header header;

	memcpy(&header, at, sizeof header);
	if (written < sizeof header || header.unique != actor->unique)
		errx(1, "%s: %s: the answer is not one", actor->stream->side->name, what);
	if (header.error)
		errx(1, "%s: %s: %s", actor->stream->side->name, what, strerror(-header.error));
	if (header.len < sizeof header + fixed)
		errx(1, "%s: %s: the answer is too short", actor->stream->side->name, what);
	*data = (uint32_t)(header.len - sizeof header - fixed);
	return at + sizeof header;
}

/* ---- FORGET ---- */

static void wait_for(struct side *side, unsigned first, unsigned n);

static bool reap_forgets(struct stream *stream)
{
	struct forget *forget;
	bool any = false;
	uint32_t len;

	while ((forget = queue_take(&stream->side->queues[0], &len))) {
		stream->idle_forgets[stream->n_idle++] = forget;
		any = true;
	}
	return any;
}

static void forget_node(struct stream *stream, uint64_t node, uint64_t n)
{
	struct forget *forget;

	while (!stream->n_idle && !reap_forgets(stream)) {
		queue_kick(&stream->side->queues[0]);
		wait_for(stream->side, 0, 1);
	}
	forget = stream->idle_forgets[--stream->n_idle];
	forget->request->header = (struct fuse_in_header){
		.len = sizeof *forget->request, .opcode = FUSE_FORGET, .unique = ++stream->unique * 2, .nodeid = node
	};
	forget->request->args.nlookup = n;
	queue_post(&stream->side->queues[0], forget->table_at, 1, forget);
	stream->requests++;
}

/* ---- steps ---- */

static const enum thing parents[THINGS] = { [SMALL] = FOLDER, [MADE] = WORK };

static const char *thing_name(struct actor *actor, enum thing thing)
{
	switch (thing) {
	case FOLDER:
		return "folder";
	case BIG:
		return "big";
	case WORK:
		return "work";
	case OWN:
		snprintf(actor->names[thing], sizeof actor->names[thing], "own-%02u", actor->number);
		break;
	case SMALL:
		snprintf(actor->names[thing], sizeof actor->names[thing], "small-%03u",
		         (actor->round * 7 + actor->number * 31) % SMALL_FILES);
		break;
	case MADE:
		snprintf(actor->names[thing], sizeof actor->names[thing], "made-%02u-%u", actor->number, actor->round);
		break;
	case ROOT:
	case THINGS:
		break;
	}
	return actor->names[thing];
}

/* Somewhere in the first `room` bytes, a multiple of `size`; the same for every side. */
static uint64_t place(const struct actor *actor, uint32_t size, uint64_t room)
{
	return (actor->round * 2654435761u + actor->number * 40503u) % (room / size) * size;
}

static void stamp_pages(struct actor *actor, uint32_t size)
{
	for (unsigned i = 0; i * PAGE < size; i++) {
		uint64_t stamp = own_stamp(actor->number, actor->offset + i * PAGE);

		memcpy(data_page(actor, i), &stamp, sizeof stamp);
	}
}

static void step_begin(struct actor *actor)
{
	const struct step *step = actor->step;
	const enum thing thing = step->thing, parent = parents[thing];
	const uint64_t node = actor->nodes[thing], handle = actor->handles[thing];
	union {
		struct fuse_getattr_in getattr;
		struct fuse_open_in open;
		struct fuse_read_in read;
		struct fuse_write_in write;
		struct fuse_flush_in flush;
		struct fuse_release_in release;
		struct fuse_create_in create;
	} args;
	struct message m = { .node = node, .args = &args };

	memset(&args, 0, sizeof args);
	switch (step->action) {
	case LOOKUP:
		m = (struct message){ .opcode = FUSE_LOOKUP,
			              .node = actor->nodes[parent],
			              .name = thing_name(actor, thing) };
		m.answer = sizeof(struct fuse_entry_out);
		break;
	case GETATTR:
		m.opcode = FUSE_GETATTR;
		m.args_len = sizeof args.getattr;
		m.answer = sizeof(struct fuse_attr_out);
		break;
	case OPEN:
	case OPENDIR:
		m.opcode = step->action == OPEN ? FUSE_OPEN : FUSE_OPENDIR;
		args.open.flags = step->action == OPENDIR ? O_RDONLY | O_DIRECTORY : thing == OWN ? O_RDWR : O_RDONLY;
		m.args_len = sizeof args.open;
		m.answer = sizeof(struct fuse_open_out);
		actor->offset = 0;
		break;
	case READ:
		m.opcode = FUSE_READ;
		actor->offset = place(actor, step->size, BIG_SIZE);
		args.read = (struct fuse_read_in){ .fh = handle, .offset = actor->offset, .size = step->size };
		m.args_len = sizeof args.read;
		m.data_in = step->size;
		break;
	case WRITE:
		m.opcode = FUSE_WRITE;
		actor->offset = thing == OWN ? place(actor, step->size, OWN_SIZE) : 0;
		stamp_pages(actor, step->size);
		args.write = (struct fuse_write_in){ .fh = handle, .offset = actor->offset, .size = step->size };
		m.args_len = sizeof args.write;
		m.data_out = step->size;
		m.answer = sizeof(struct fuse_write_out);
		break;
	case FLUSH:
		m.opcode = FUSE_FLUSH;
		args.flush.fh = handle;
		m.args_len = sizeof args.flush;
		break;
	case RELEASE:
	case RELEASEDIR:
		m.opcode = step->action == RELEASE ? FUSE_RELEASE : FUSE_RELEASEDIR;
		args.release.fh = handle;
		m.args_len = sizeof args.release;
		break;
	case READDIRPLUS:
		m.opcode = FUSE_READDIRPLUS;
		args.read = (struct fuse_read_in){ .fh = handle, .offset = actor->offset, .size = PAGE };
		m.args_len = sizeof args.read;
		m.data_in = PAGE;
		break;
	case CREATE:
		m.opcode = FUSE_CREATE;
		m.node = actor->nodes[parent];
		args.create = (struct fuse_create_in){ .flags = O_CREAT | O_EXCL | O_RDWR,
			                               .mode = S_IFREG | 0644,
			                               .umask = 022 };
		m.args_len = sizeof args.create;
		m.name = thing_name(actor, thing);
		m.answer = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out);
		break;
	case UNLINK:
		m = (struct message){ .opcode = FUSE_UNLINK,
			              .node = actor->nodes[parent],
			              .name = thing_name(actor, thing) };
		break;
	case FORGET:
	case END:
		return;
	}
	post(actor, &m);
}

static void take_entry(struct actor *actor, enum thing thing, const void *at)
{
	struct fuse_entry_out entry;

	memcpy(&entry, at, sizeof entry);
	actor->nodes[thing] = entry.nodeid;
}

static void take_open(struct actor *actor, enum thing thing, const uint8_t *at)
{
	struct fuse_open_out open;

	memcpy(&open, at, sizeof open);
	actor->handles[thing] = open.fh;
}

/* Forgets the entries of one page. */
static void take_entries(struct actor *actor, uint32_t len)
{
	const uint8_t *page = data_page(actor, 0);
	struct fuse_direntplus entry;

	for (size_t at = 0; at + ENTRY_HEAD <= len; at += FUSE_DIRENT_ALIGN(ENTRY_HEAD + entry.dirent.namelen)) {
		memcpy(&entry, page + at, ENTRY_HEAD);
		actor->offset = entry.dirent.off;
		if (entry.entry_out.nodeid)
			forget_node(actor->stream, entry.entry_out.nodeid, 1);
	}
}

static void check_pages(const struct actor *actor, uint32_t size)
{
	for (unsigned i = 0; i * PAGE < size; i++) {
		uint64_t stamp;

		memcpy(&stamp, data_page(actor, i), sizeof stamp);
		if (stamp != big_stamp(actor->offset + i * PAGE))
			errx(1, "%s: READ at %llu: not what is in the file", actor->stream->side->name,
			     (unsigned long long)actor->offset);
	}
}

/* What came back. True: the step is done. */
static bool step_end(struct actor *actor, uint32_t written)
{
	const struct step *step = actor->step;
	struct fuse_write_out wrote;
	uint32_t data;
	const uint8_t *at;

	switch (step->action) {
	case LOOKUP:
		take_entry(actor, step->thing, answer(actor, written, "LOOKUP", sizeof(struct fuse_entry_out), &data));
		return true;
	case GETATTR:
		answer(actor, written, "GETATTR", sizeof(struct fuse_attr_out), &data);
		return true;
	case OPEN:
	case OPENDIR:
		take_open(actor, step->thing, answer(actor, written, "OPEN", sizeof(struct fuse_open_out), &data));
		return true;
	case READ:
		answer(actor, written, "READ", 0, &data);
		if (data != step->size)
			errx(1, "%s: READ: %u bytes of %u", actor->stream->side->name, data, step->size);
		check_pages(actor, data);
		actor->stream->bytes += data;
		return true;
	case WRITE:
		memcpy(&wrote, answer(actor, written, "WRITE", sizeof wrote, &data), sizeof wrote);
		if (wrote.size != step->size)
			errx(1, "%s: WRITE: %u bytes of %u", actor->stream->side->name, wrote.size, step->size);
		actor->stream->bytes += wrote.size;
		return true;
	case READDIRPLUS:
		answer(actor, written, "READDIRPLUS", 0, &data);
		take_entries(actor, data);
		return data == 0;
	case CREATE:
		at = answer(actor, written, "CREATE", sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out),
		            &data);
		take_entry(actor, step->thing, at);
		take_open(actor, step->thing, at + sizeof(struct fuse_entry_out));
		return true;
	case FLUSH:
	case RELEASE:
	case RELEASEDIR:
	case UNLINK:
		answer(actor, written, "FLUSH, RELEASE or UNLINK", 0, &data);
		return true;
	case FORGET:
	case END:
		break;
	}
	return true;
}

/* On to the next request, or to the actor's end. */
static void actor_go_on(struct actor *actor)
{
	struct stream *stream = actor->stream;

	for (;;) {
		switch (actor->step->action) {
		case FORGET:
			forget_node(stream, actor->nodes[actor->step->thing], 1);
			actor->step++;
			break;
		case END:
			if (!stream->rounds) {
				stream->busy--;
				return;
			}
			stream->rounds--;
			actor->round++;
			actor->step = actor->script;
			break;
		default:
			step_begin(actor);
			return;
		}
	}
}

/* ---- the loop ---- */

/* Sleeps until one of these queues has answers. */
static void wait_for(struct side *side, unsigned first, unsigned n)
{
	struct pollfd fds[1 + SIDE_QUEUES_MAX];
	eventfd_t count;
	bool sleep = true;

	for (unsigned i = 0; i < n; i++) {
		fds[i] = (struct pollfd){ .fd = side->queues[first + i].call, .events = POLLIN };
		sleep &= queue_arm(&side->queues[first + i]);
	}
	if (sleep && poll(fds, n, 60000) <= 0)
		errx(1, "%s: no answer within a minute", side->name);
	for (unsigned i = 0; i < n; i++) {
		if (sleep && fds[i].revents)
			(void)eventfd_read(fds[i].fd, &count);
		queue_woke(&side->queues[first + i]);
	}
}

static bool take_answers(struct stream *stream)
{
	struct side *side = stream->side;
	struct actor *actor;
	bool any = reap_forgets(stream);
	uint32_t len;

	for (unsigned i = 1; i <= side->n_queues; i++) {
		while ((actor = queue_take(&side->queues[i], &len))) {
			any = true;
			if (step_end(actor, len))
				actor->step++;
			actor_go_on(actor);
		}
	}
	return any;
}

static void run_script(struct stream *stream, unsigned depth, const struct step *script, unsigned rounds)
{
	struct side *side = stream->side;

	stream->rounds = rounds > depth ? rounds - depth : 0;
	stream->busy = depth;
	for (unsigned i = 0; i < depth; i++) {
		struct actor *actor = &stream->actors[i];

		actor->script = actor->step = script;
		actor->queue = &side->queues[1 + i % side->n_queues];
		actor_go_on(actor);
	}
	while (stream->busy || side->queues[0].out) {
		for (unsigned i = 0; i <= side->n_queues; i++)
			queue_kick(&side->queues[i]);
		if (!take_answers(stream))
			wait_for(side, 0, 1 + side->n_queues);
	}
}

struct work stream_run(struct stream *stream, unsigned depth, const struct step *before, const struct step *script,
                       const struct step *after, unsigned rounds)
{
	struct side *side = stream->side;
	struct work work;

	for (unsigned i = 0; i < ACTORS_MAX; i++)
		stream->actors[i].round = 0;
	run_script(stream, depth, before, depth);
	stream->requests = stream->bytes = 0;
	work = (struct work){ .ns = now(CLOCK_MONOTONIC),
		              .cpu_ns = side->cpu(side),
		              .own_cpu_ns = now(CLOCK_THREAD_CPUTIME_ID) };
	run_script(stream, depth, script, rounds);
	work = (struct work){ .ns = now(CLOCK_MONOTONIC) - work.ns,
		              .cpu_ns = side->cpu(side) - work.cpu_ns,
		              .own_cpu_ns = now(CLOCK_THREAD_CPUTIME_ID) - work.own_cpu_ns,
		              .requests = stream->requests,
		              .bytes = stream->bytes };
	run_script(stream, depth, after, depth);
	return work;
}

/* ---- INIT, and what lies in the guest's memory ---- */

/* As Linux asks for, of what matters here. */
static void send_init(struct stream *stream)
{
	const struct fuse_init_in args = {
		.major = FUSE_KERNEL_VERSION,
		.minor = MINOR,
		.max_readahead = 128 << 10,
		.flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES |
		         FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
		         FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_SUBMOUNTS,
	};
	struct actor *actor = &stream->actors[0];
	const struct message m = {
		.opcode = FUSE_INIT, .args = &args, .args_len = sizeof args, .answer = sizeof(struct fuse_init_out)
	};
	struct fuse_init_out out;
	uint32_t written, data;

	actor->queue = &stream->side->queues[1];
	post(actor, &m);
	queue_kick(actor->queue);
	while (!queue_take(actor->queue, &written))
		wait_for(stream->side, 1, 1);
	memcpy(&out, answer(actor, written, "INIT", sizeof out, &data), sizeof out);
	if (out.major != FUSE_KERNEL_VERSION || out.max_write < DATA_PAGES * PAGE)
		errx(1, "%s: version %u.%u, requests of %u bytes at most", stream->side->name, out.major, out.minor,
		     out.max_write);
}

static void lay_actor(struct actor *actor, struct guest_memory *memory)
{
	actor->table_at = guest_alloc(memory, TABLE_MAX * sizeof *actor->table, 64);
	actor->head_at = guest_alloc(memory, PAGE, PAGE);
	actor->data_at = guest_alloc(memory, DATA_PAGES * PAGE, PAGE);
	actor->table = guest_at(memory, actor->table_at);
	actor->head = guest_at(memory, actor->head_at);
	actor->data = guest_at(memory, actor->data_at);
	actor->nodes[ROOT] = FUSE_ROOT_ID;
}

static void lay_forget(struct forget *forget, struct guest_memory *memory)
{
	uint64_t at = guest_alloc(memory, sizeof *forget->request, 64);

	forget->request = guest_at(memory, at);
	forget->table_at = guest_alloc(memory, sizeof(struct vring_desc), 16);
	*(struct vring_desc *)guest_at(memory, forget->table_at) =
		(struct vring_desc){ .addr = at, .len = sizeof *forget->request };
}

struct stream *stream_new(struct side *side)
{
	struct stream *stream = calloc(1, sizeof *stream);

	if (!stream)
		err(1, "stream");
	stream->side = side;
	for (unsigned i = 0; i < ACTORS_MAX; i++) {
		stream->actors[i].stream = stream;
		stream->actors[i].number = i;
		lay_actor(&stream->actors[i], &side->memory);
	}
	for (unsigned i = 0; i < FORGETS; i++) {
		lay_forget(&stream->forgets[i], &side->memory);
		stream->idle_forgets[stream->n_idle++] = &stream->forgets[i];
	}
	send_init(stream);
	return stream;
}

void stream_free(struct stream *stream)
{
	free(stream);
}
