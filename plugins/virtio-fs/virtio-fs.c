/* SPDX-License-Identifier: MIT */
/*
 * virtio-fs.c - the virtio file system device (virtio 1.2, 5.11): life cycle, queues and workers of one share.
 *
 * THEORY OF OPERATION. Queue 0 is for what must not wait behind others (FORGET, INTERRUPT), the others for requests. A
 * queue handler pops, takes the request apart (call.h) and runs it where it stands, unless the operation waits by its
 * nature or says that it would (CALL_BLOCKS); then a worker runs it. What a worker has finished it puts on the list of
 * the request's queue ("lane"); the loop of that queue completes all that it finds there and tells the guest once:
 * in done() where it is the home loop, in a deferred call elsewhere.
 *
 *     guest ─► queue_notify ─► call_begin ─► run ─────────────────────────────► call_end ─► complete, flush
 *                                             └► job_submit ─► work: run ─► lane ─┘ (done, or the lane's deferred call)
 *
 * A call belongs to its lane's loop (free list) but for the time on a worker and on the lane's list (lane->lock). With
 * done() to come it stays in being until then; elsewhere the deferred call may free it at once.
 *
 * BRIEF operations (dispatch.c: names and attributes) may wait for a directory's blocks, but a hop to a worker and back
 * costs more than most of them do. So they stay on the loop, which is the instance's own or one for I/O, as long as the
 * shared directory is quick: after two that took longer than SLOW_NS, within SLOW_CALLS of each other, the next
 * SLOW_CALLS go to workers. (Two, because a busy host takes the processor away from a quick one now and then.) QUICK
 * ones (WRITE) are told whether those before them were, and decide by it how much of a copy the loop may do
 * (op-file.c).
 *
 * DATA (READ, WRITE) that are not in the host's memory are waited for on the loop as well where nothing else of the
 * guest's waits or is under way, and the loop is the instance's own: then a worker would have nothing to do beside it.
 * One request is popped ahead to know that. Where several are there, workers serve them side by side.
 *
 * SESSIONS. Every operation runs with `session` read-locked; INIT, DESTROY and reset() take it for writing, because
 * they forget what the others work with. On a loop it is only tried: who does not get it goes to a worker and waits
 * there.
 *
 * RESET. Workers write into guest memory, which is the guest's own again as soon as reset() has returned. So reset()
 * raises the generation (calls that have not begun find that out and do nothing), has those hurry that are at work, and
 * waits for them: at most one system call on the shared directory each. The home loop stands still meanwhile.
 * Deferred calls of lanes go on during reset(): each completes under lane->completing, which reset() takes once.
 *
 * quiesce, save and restore are not offered: nodes and handles are descriptors of this process.
 *
 * UMASK. The guest has applied its own; capsa's would take away more. It belongs to the process, and other rooms make
 * files, too (sockets above all), so it stays as it is, and each thread that makes files here has a umask of 0 of its
 * own: workers, and loops but for the process' first thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/virtio_fs.h>
#include <sys/syscall.h>

#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/session.h"
#include "plugins/virtio-fs/window.h"

#define QUEUE_SIZE 1024u /* Linux takes no more pages in a request than fit into the ring */
#define BUDGET_REQUESTS 64u
#define BUDGET_BYTES (UINT64_C(1) << 20)
#define SPARE_CALLS 64u /* kept for the next requests, a lane */
#define SLOW_NS 1000000
#define SLOW_CALLS 64u

struct fs;

/* How long operations of one kind took of late. */
struct pace {
	unsigned suspect; /* one of the last SLOW_CALLS was slow: so many to go until that is forgotten */
	unsigned slow;    /* so many of the next are taken for slow ones */
};

struct lane {
	struct fs *fs;
	unsigned queue;
	struct capsa_deferred *finish; /* on the queue's loop */
	bool is_placed;                /* it is known since activate() whether: the loop's, as the next two */
	bool on_home;                  /* the queue's loop is the home loop, whichever thread that has by now */
	bool alone;                    /* nothing else of the guest's waits or is under way */

	/* The loop's. */
	struct call *spare;
	unsigned n_spare;
	bool starved; /* there was no memory for a call, so requests wait for one that comes back */
	struct pace brief, quick;

	pthread_mutex_t completing; /* held by the deferred call while it touches requests */
	pthread_mutex_t lock;
	struct call *finished, **finished_end;
};

struct fs {
	struct share share; /* first: tests look into it */
	struct lane *lanes;
	unsigned n_lanes;
	pthread_t home;
	pthread_rwlock_t session;
	pthread_mutex_t hurrying; /* the generation stays as it is meanwhile */
	atomic_uint generation;
	atomic_uint n_jobs; /* submitted, and not finished yet */
};

/* ---- calls and lanes ---- */

static struct call *call_take(struct lane *lane)
{
	struct call *call = lane->spare;

	if (call) {
		lane->spare = call->next;
		lane->n_spare--;
		return call;
	}
	call = malloc(sizeof *call);
	lane->starved = !call;
	return call;
}

static void call_put_back(struct lane *lane, struct call *call)
{
	const struct share *share = &lane->fs->share;

	if (lane->n_spare < SPARE_CALLS) {
		call->next = lane->spare;
		lane->spare = call;
		lane->n_spare++;
	} else {
		free(call);
	}
	if (lane->starved) {
		lane->starved = false;
		share->host->queue_again(share->dev, lane->queue);
	}
}

static struct lane *lane_of(const struct call *call)
{
	struct fs *fs = (struct fs *)call->share;

	return &fs->lanes[call->lane];
}

static struct call *take_finished(struct lane *lane)
{
	struct call *list;

	pthread_mutex_lock(&lane->lock);
	list = lane->finished;
	lane->finished = NULL;
	lane->finished_end = &lane->finished;
	pthread_mutex_unlock(&lane->lock);
	return list;
}

/* Answers the guest. Its loop; session or not, but the same activation. */
static void complete(struct call *call)
{
	struct share *share = call->share;
	size_t written = 0;

	if (call->result != CALL_NO_REPLY) {
		written = call_end(call, call->result);
		if (call->result < 0)
			counter_add(share->counters.errors, 1);
	}
	share->host->queue_complete(share->dev, call->request, written);
}

/* All that workers have finished of a lane, in one go. Its loop. */
static void complete_finished(struct lane *lane)
{
	struct share *share = &lane->fs->share;
	struct call *call = take_finished(lane), *next;
	bool any = false;

	for (; call; call = next) {
		next = call->next;
		if (call->generation == atomic_load(&lane->fs->generation)) {
			complete(call);
			any = true;
		}
		if (!call->at_home) /* otherwise done() is to come */
			call_put_back(lane, call);
	}
	if (any)
		share->host->queue_flush(share->dev, lane->queue);
}

/* The deferred call of a lane that has a loop of its own. */
static void on_finish(void *ctx)
{
	struct lane *lane = ctx;

	pthread_mutex_lock(&lane->completing);
	complete_finished(lane);
	pthread_mutex_unlock(&lane->completing);
}

/* Home loop, once for each job: the first completes what all of them left. */
static void on_done_at_home(void *ctx)
{
	struct call *call = ctx;
	struct lane *lane = lane_of(call);

	complete_finished(lane);
	call_put_back(lane, call);
}

static void on_done_elsewhere(void *ctx)
{
	(void)ctx; /* the lane's deferred call may have freed it */
}

/* ---- running them ---- */

/* Whoever is at work need not go on: long operations look at `ready`, and who waits for a lock is woken. */
static void hurry(struct share *share)
{
	atomic_store(&share->ready, false);
	if (share->locks)
		locks_cancel(share);
}

static void run_blocking(struct fs *fs, struct call *call)
{
	struct share *share = &fs->share;

	if (call->operation->alone) {
		/* One that a reset has made void must not make void what came after the reset. */
		pthread_mutex_lock(&fs->hurrying);
		if (call->generation == atomic_load(&fs->generation))
			hurry(share);
		pthread_mutex_unlock(&fs->hurrying);
		pthread_rwlock_wrlock(&fs->session);
	} else {
		pthread_rwlock_rdlock(&fs->session);
	}
	if (call->generation == atomic_load(&fs->generation)) {
		call->may_block = true;
		call->is_brief = false;
		call->replied = 0;
		call->result = call->operation->run(call);
		if (call->result == CALL_BLOCKS)
			call->result = -EIO; /* an operation's fault */
	}
	pthread_rwlock_unlock(&fs->session);
}

/* Gives this thread a umask of its own, 0. Once a thread. False: it has none, and is to make no files. */
static bool drop_umask(const struct share *share)
{
	static _Thread_local enum { UNKNOWN, DROPPED, KEPT } state;

	if (state == UNKNOWN) {
		state = gettid() != getpid() && unshare(CLONE_FS) == 0 ? DROPPED : KEPT;
		if (state == DROPPED)
			umask(0);
		else if (gettid() != getpid())
			share->host->log(
				share->dev, CAPSA_LOG_WARNING,
				"cannot have a umask of its own: %s; the modes of new files are cut by capsa's",
				strerror(errno));
	}
	return state == DROPPED;
}

/* A worker's. */
static void work(void *ctx)
{
	struct call *call = ctx;
	struct lane *lane = lane_of(call);
	const bool on_home = call->at_home;

	drop_umask(&lane->fs->share);
	run_blocking(lane->fs, call);
	call->next = NULL;
	atomic_fetch_sub(&lane->fs->n_jobs, 1);
	pthread_mutex_lock(&lane->lock);
	*lane->finished_end = call;
	lane->finished_end = &call->next;
	pthread_mutex_unlock(&lane->lock);
	if (!on_home)
		lane->fs->share.host->deferred_run(lane->finish);
}

static int64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Of the one that is about to begin. */
static bool pace_is_slow(struct pace *pace)
{
	if (!pace->slow)
		return false;
	pace->slow--;
	return true;
}

/* One took `ns` nanoseconds on the loop. */
static void pace_note(struct pace *pace, int64_t ns)
{
	if (ns <= SLOW_NS) {
		if (pace->suspect)
			pace->suspect--;
		return;
	}
	if (pace->suspect)
		pace->slow = SLOW_CALLS;
	pace->suspect = SLOW_CALLS;
}

/* What may wait, but not for long. The result, or CALL_BLOCKS. */
static int run_brief(struct lane *lane, struct call *call)
{
	int64_t began;
	int r;

	if (!lane->alone && pace_is_slow(&lane->brief))
		return CALL_BLOCKS;
	if (!drop_umask(call->share))
		return CALL_BLOCKS;
	began = clock_now();
	call->may_block = call->is_brief = true;
	call->replied = 0;
	r = call->operation->run(call);
	pace_note(&lane->brief, clock_now() - began);
	return r;
}

/* What does more on the loop while that is quick. The result, or CALL_BLOCKS. */
static int run_quick(struct lane *lane, struct call *call)
{
	const int64_t began = clock_now();
	int r;

	call->is_quick = !pace_is_slow(&lane->quick);
	r = call->operation->run(call);
	pace_note(&lane->quick, clock_now() - began);
	return r;
}

/* What waits for data. The result, or CALL_BLOCKS. */
static int run_alone(struct lane *lane, struct call *call)
{
	/* A loop that is the instance's own: nobody else's device stands still. */
	if (!lane->alone || !lane->on_home || gettid() == getpid())
		return CALL_BLOCKS;
	call->may_block = call->is_brief = true;
	call->replied = 0;
	return call->operation->run(call);
}

/* On the loop, as far as it goes without waiting for long. The result, or CALL_BLOCKS. */
static int run_here(struct lane *lane, struct call *call)
{
	const enum where where = call->operation->where;
	struct fs *fs = lane->fs;
	int r = CALL_BLOCKS;

	/* Whatever is made or removed takes locks of the quota, which may be held by one that is at the disk. */
	if (where == ON_WORKER || (where == ON_BRIEF && fs->share.quota))
		return CALL_BLOCKS;
	if (call->operation->alone ? pthread_rwlock_trywrlock(&fs->session) : pthread_rwlock_tryrdlock(&fs->session))
		return CALL_BLOCKS;
	if (where != ON_BRIEF) {
		call->may_block = false;
		r = where == TRY_QUICK ? run_quick(lane, call) : call->operation->run(call);
	}
	if (r == CALL_BLOCKS && (where == ON_BRIEF || where == TRY_BRIEF))
		r = run_brief(lane, call);
	if (r == CALL_BLOCKS && (where == TRY_DATA || where == TRY_QUICK))
		r = run_alone(lane, call);
	pthread_rwlock_unlock(&fs->session);
	return r;
}

/* One request that was just popped, into a call of this lane. */
static void serve(struct lane *lane, struct call *call, struct capsa_request *request)
{
	struct fs *fs = lane->fs;
	struct share *share = &fs->share;
	int r;

	counter_add(share->counters.requests, 1);
	call->lane = lane->queue;
	call->generation = atomic_load(&fs->generation);
	r = call_begin(call, share, request);
	if (r == 0)
		r = run_here(lane, call);
	else if (r == -EPROTO || call->in.opcode == FUSE_FORGET || call->in.opcode == FUSE_BATCH_FORGET)
		r = CALL_NO_REPLY;
	if (r == CALL_BLOCKS) {
		call->at_home = lane->on_home;
		atomic_fetch_add(&fs->n_jobs, 1);
		r = share->host->job_submit(share->dev, work, lane->on_home ? on_done_at_home : on_done_elsewhere,
		                            call);
		if (r == 0) {
			counter_add(share->counters.worker_requests, 1);
			return;
		}
		atomic_fetch_sub(&fs->n_jobs, 1);
	}
	call->result = r;
	complete(call);
	call_put_back(lane, call);
}

static void queue_notify(void *self, unsigned queue)
{
	struct fs *fs = self;
	struct share *share = &fs->share;
	struct lane *lane = &fs->lanes[queue];
	struct capsa_request *request;
	struct call *call;
	bool may_go_on = true;
	uint64_t bytes = 0;
	unsigned n;

	if (!lane->is_placed) {
		lane->on_home = pthread_equal(fs->home, pthread_self());
		lane->is_placed = true;
	}
	call = call_take(lane);
	request = call ? share->host->queue_pop(share->dev, queue) : NULL;
	for (n = 1; request; n++) {
		/* One is popped ahead, to know whether somebody would wait for this one. */
		struct call *next_call = NULL;
		struct capsa_request *next = NULL;

		bytes += request->readable_bytes + request->writable_bytes;
		may_go_on = n < BUDGET_REQUESTS && bytes < BUDGET_BYTES;
		if (may_go_on)
			next_call = call_take(lane);
		if (next_call)
			next = share->host->queue_pop(share->dev, queue);
		lane->alone = next_call && !next && atomic_load(&fs->n_jobs) == 0;
		serve(lane, call, request);
		call = next_call;
		request = next;
	}
	if (call)
		call_put_back(lane, call);
	if (!may_go_on)
		share->host->queue_again(share->dev, queue);
}

static int activate(void *self, uint64_t features)
{
	struct fs *fs = self;

	(void)features;
	fs->home = pthread_self();
	for (unsigned i = 0; i < fs->n_lanes; i++)
		fs->lanes[i].is_placed = false;
	return 0;
}

static void reset(void *self)
{
	struct fs *fs = self;
	struct call *call, *next;

	pthread_mutex_lock(&fs->hurrying);
	atomic_fetch_add(&fs->generation, 1);
	hurry(&fs->share);
	pthread_mutex_unlock(&fs->hurrying);
	pthread_rwlock_wrlock(&fs->session);
	session_end(&fs->share);
	pthread_rwlock_unlock(&fs->session);
	for (unsigned i = 0; i < fs->n_lanes; i++) {
		struct lane *lane = &fs->lanes[i];

		pthread_mutex_lock(&lane->completing);
		lane->starved = false;
		for (call = take_finished(lane); call; call = next) {
			next = call->next;
			if (!call->at_home)
				call_put_back(lane, call);
		}
		pthread_mutex_unlock(&lane->completing);
	}
}

/* ---- life cycle ---- */

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	struct fs *fs = calloc(1, sizeof *fs);

	if (!fs) {
		host->error(dev, "out of memory");
		return NULL;
	}
	fs->share.host = host;
	fs->share.dev = dev;
	fs->share.root = fs->share.proc_fd = -1;
	pthread_rwlock_init(&fs->session, NULL);
	pthread_mutex_init(&fs->hurrying, NULL);
	return fs;
}

static int config(void *self, const struct capsa_value *values, size_t n_values)
{
	struct fs *fs = self;
	char cause[512];

	if (options_read(&fs->share.options, values, n_values, cause, sizeof cause) == 0)
		return 0;
	fs->share.host->error(fs->share.dev, "%s", cause);
	return -1;
}

static int fail_out_of_memory(struct share *share)
{
	share->host->error(share->dev, "out of memory");
	return -1;
}

static int open_root(struct share *share)
{
	const char *path = share->options.path;

	share->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (share->root < 0) {
		if (errno == ENOENT)
			share->host->error(share->dev, "path \"%s\" is not there; make the directory first", path);
		else if (errno == ENOTDIR)
			share->host->error(share->dev, "path \"%s\" is not a directory; only directories can be shared",
			                   path);
		else
			share->host->error(share->dev, "cannot open path \"%s\": %s", path, strerror(errno));
		return -1;
	}
	if (faccessat(share->root, ".", R_OK | X_OK, AT_EACCESS) < 0) {
		share->host->error(share->dev, "may not read path \"%s\": %s; give this user permission", path,
		                   strerror(errno));
		return -1;
	}
	share->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (share->proc_fd < 0) {
		share->host->error(share->dev, "cannot open /proc/self/fd: %s; mount /proc", strerror(errno));
		return -1;
	}
	return 0;
}

/* What it takes to create and reach files for any user of the guest's. */
static bool may_act_for_others(void)
{
	static const unsigned needed[] = { CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID,
		                           CAP_SETGID, CAP_SETPCAP,      CAP_SETUID };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { .effective = 0 } };

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
		if (!(data[CAP_TO_INDEX(needed[i])].effective & CAP_TO_MASK(needed[i])))
			return false;
	return true;
}

static int make_window(struct share *share)
{
	const int r = window_new(share, &share->window);

	if (r == -E2BIG) {
		share->host->error(share->dev,
		                   "dax is %" PRIu64 " MiB, which in all may take more mappings than this host allows "
		                   "(vm.max_map_count); give less, or raise it with sysctl",
		                   share->options.dax >> 20);
		return -1;
	}
	return r < 0 ? fail_out_of_memory(share) : 0;
}

static int make_rooms(struct share *share)
{
	const struct options *options = &share->options;

	if (node_table_new(share, &share->nodes) < 0 || handle_table_new(&share->handles) < 0 ||
	    owners_new(share, &share->owners) < 0)
		return fail_out_of_memory(share);
	if ((options->max_bytes || options->max_inodes) &&
	    quota_new(options->max_bytes, options->max_inodes, &share->quota) < 0)
		return fail_out_of_memory(share);
	if (options->dax && make_window(share) < 0)
		return -1;
	if (options->host_locks && locks_new(&share->locks) < 0)
		return fail_out_of_memory(share);
	return 0;
}

static int make_lanes(struct fs *fs)
{
	struct share *share = &fs->share;
	unsigned queues = share->options.queues;

	if (!queues && share->host->vcpus)
		queues = share->host->vcpus(share->dev);
	if (!queues)
		queues = 1;
	if (queues > CAPSA_MAX_QUEUES - 1)
		queues = CAPSA_MAX_QUEUES - 1;
	fs->lanes = calloc(queues + 1, sizeof fs->lanes[0]);
	if (!fs->lanes)
		return fail_out_of_memory(share);
	for (unsigned i = 0; i < queues + 1; i++) {
		struct lane *lane = &fs->lanes[fs->n_lanes++];

		lane->fs = fs;
		lane->queue = i;
		lane->finished_end = &lane->finished;
		pthread_mutex_init(&lane->lock, NULL);
		pthread_mutex_init(&lane->completing, NULL);
		/* One at least: whoever starves waits for one to come back. */
		lane->spare = calloc(1, sizeof *lane->spare);
		if (!lane->spare)
			return fail_out_of_memory(share);
		lane->n_spare = 1;
	}
	return 0;
}

static int make_counters(struct share *share)
{
	const struct {
		uint64_t **counter;
		const char *name, *help;
	} all[] = {
		{ &share->counters.requests, "requests", "requests of the guest's" },
		{ &share->counters.errors, "errors", "requests that were answered with an error" },
		{ &share->counters.read_bytes, "read_bytes", "bytes of files that the guest read" },
		{ &share->counters.write_bytes, "write_bytes", "bytes of files that the guest wrote" },
		{ &share->counters.worker_requests, "worker_requests", "requests that a worker thread did" },
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
		*all[i].counter = share->host->counter(share->dev, all[i].name, all[i].help);
		if (!*all[i].counter)
			return fail_out_of_memory(share);
	}
	return 0;
}

static int fill_setup(struct fs *fs, struct capsa_setup *setup)
{
	struct share *share = &fs->share;
	struct virtio_fs_config space = { .num_request_queues = fs->n_lanes - 1 };

	setup->n_queues = fs->n_lanes;
	for (unsigned i = 0; i < fs->n_lanes; i++) {
		setup->queues[i].size = QUEUE_SIZE;
		setup->queues[i].max_segments = CALL_SEGMENTS_MAX;
	}
	setup->n_workers = share->options.workers + (share->options.host_locks ? LOCK_WAITERS_MAX : 0);
	if (share->options.dax) {
		setup->n_shared_memory = 1;
		setup->shared_memory[0].id = WINDOW_ID;
		setup->shared_memory[0].size = share->options.dax;
	}
	/* Padded with NULs, but not terminated where it fills the field (5.11.4). */
	memcpy(space.tag, share->options.tag, strlen(share->options.tag));
	setup->config_size = sizeof space;
	if (share->host->config_set(share->dev, 0, &space, sizeof space, false) < 0)
		return fail_out_of_memory(share);
	return 0;
}

static int realize(void *self, struct capsa_setup *setup)
{
	struct fs *fs = self;
	struct share *share = &fs->share;

	share->is_root = may_act_for_others();
	share->can_nowait = true;
	if (share->options.owner == OWNER_HOST && !share->is_root) {
		share->host->error(share->dev,
		                   "owner = \"host\" needs root, to make files for the guest's users; leave it "
		                   "out, or say owner = \"squash\"");
		return -1;
	}
	if (open_root(share) < 0 || make_counters(share) < 0 || make_rooms(share) < 0 || make_lanes(fs) < 0)
		return -1;
	return fill_setup(fs, setup);
}

static int start(void *self)
{
	struct fs *fs = self;
	struct share *share = &fs->share;

	for (unsigned i = 0; i < fs->n_lanes; i++) {
		fs->lanes[i].finish = share->host->queue_deferred_add(share->dev, i, on_finish, &fs->lanes[i]);
		if (!fs->lanes[i].finish)
			return fail_out_of_memory(share);
	}
	if (share->window && window_start(share) < 0)
		return fail_out_of_memory(share);
	return 0;
}

static void shared_memory_fault(void *self, unsigned id, uint64_t offset, uint64_t len)
{
	struct fs *fs = self;

	if (id == WINDOW_ID && fs->share.window)
		window_fault(&fs->share, offset, len);
}

static void free_calls(struct call *call)
{
	struct call *next;

	for (; call; call = next) {
		next = call->next;
		free(call);
	}
}

static void destroy(void *self)
{
	struct fs *fs = self;
	struct share *share = &fs->share;

	for (unsigned i = 0; i < fs->n_lanes; i++) {
		free_calls(fs->lanes[i].spare);
		free_calls(fs->lanes[i].finished);
		pthread_mutex_destroy(&fs->lanes[i].lock);
		pthread_mutex_destroy(&fs->lanes[i].completing);
	}
	free(fs->lanes);
	if (share->locks)
		locks_free(share->locks);
	if (share->window)
		window_free(share->window);
	if (share->quota)
		quota_free(share->quota);
	if (share->handles)
		handle_table_free(share->handles);
	if (share->owners)
		owners_free(share->owners);
	if (share->nodes)
		node_table_free(share->nodes);
	if (share->proc_fd >= 0)
		close(share->proc_fd);
	if (share->root >= 0)
		close(share->root);
	pthread_mutex_destroy(&fs->hurrying);
	pthread_rwlock_destroy(&fs->session);
	free(fs);
}

static const struct capsa_plugin plugin = {
	CAPSA_PLUGIN_HEADER,
	.name = "virtio-fs",
	.version = "1",
	.description = "shares a directory of the host with the guest (virtio-fs)",
	.virtio_device_id = VIRTIO_ID_FS,
	.thread_model = CAPSA_THREAD_PARALLEL,
	.needs = CAPSA_NEEDS_FILES,
	.keys = virtio_fs_keys,
	.create = create,
	.config = config,
	.realize = realize,
	.start = start,
	.activate = activate,
	.queue_notify = queue_notify,
	.reset = reset,
	.destroy = destroy,
	.shared_memory_fault = shared_memory_fault,
};

CAPSA_PLUGIN_EXPORT const struct capsa_plugin *capsa_plugin_entry(void)
{
	return &plugin;
}
