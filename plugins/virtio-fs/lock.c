/* SPDX-License-Identifier: MIT */
/*
 * lock.c - see lock.h. Owns the lock owners' descriptors and the threads that wait. Called by the operations.
 *
 * OWNERS. Who locks (node, owner, flock or POSIX) has an open file description of its own here, from its first lock
 * until it unlocks the whole file or FLUSH or RELEASE drops it. The host's kernel knows which ranges it has; we only
 * know that it may have some (`holds`). Operations of one owner may run at the same time; the description stays open
 * while any is at work (`users`).
 *
 * WAITING, AND BEING WOKEN WITHOUT A GAP. SETLKW blocks a worker in fcntl(F_OFD_SETLKW) or flock(2). A signal (without
 * SA_RESTART) ends that with EINTR, but only if it comes when the thread is in the call already; one that comes between
 * the last look at "was I cancelled?" and the call would be lost, and these calls have no mask to swap as ppoll(2) has.
 * So the handler does not only interrupt: it puts a descriptor that cannot be locked (O_PATH) in the place of the one
 * that its thread is about to wait on, which is a duplicate made for this wait alone. Wherever the signal finds the
 * thread:
 *
 *      before the call   the call finds an O_PATH descriptor: EBADF at once
 *      in the call       EINTR; or it was granted first, which is a good answer, too
 *      behind it         nothing waits
 *
 * One signal is enough, whoever sends it needs not wait for anything, and a wait that was not meant (a stray signal)
 * begins again with a new duplicate. Workers have all signals blocked (core/plugin/jobs.c); this one is open only
 * around the call. It is not one that capsa itself uses (SIGRTMIN, core/machine/vcpu.c).
 *
 * There are LOCK_WAITERS_MAX workers more than there would be without locks (virtio-fs.c), so that those that unlock
 * never wait behind those that wait.
 *
 * Locks: one mutex over everything here, held across no system call that may wait.
 */
#include "plugins/virtio-fs/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugins/virtio-fs/node-table.h"
#include "plugins/virtio-fs/operations.h"

#define WAKE_SIGNAL (SIGRTMIN + 3)
#define OWNER_FILES_SHARE \
	8u /* of the descriptors that the process may have, one in so many is a lock owner's at most */
#define INTERRUPTS_REMEMBERED 16u

struct lock_owner {
	/* Its key. */
	uint64_t node, owner;
	bool is_flock;
	int fd;
	unsigned users;  /* operations at work on it */
	unsigned serial; /* of the last lock that it got */
	bool holds;      /* locks, maybe */
	bool orphan;     /* not in the tree any more: goes with its last user */
};

/* A worker that waits. On its stack. */
struct waiter {
	pthread_t thread;
	uint64_t unique; /* of the request */
	bool cancelled;
};

struct locks {
	pthread_mutex_t lock;
	void *owners; /* tsearch(3) */
	unsigned n_owners;
	struct waiter *waiters[LOCK_WAITERS_MAX]; /* in no order */
	unsigned n_waiters;
	bool cancelled; /* until locks_clear() */
	/* INTERRUPTs that came before their request began to wait: the last few, in a ring. 0: none */
	uint64_t interrupts[INTERRUPTS_REMEMBERED];
	unsigned next_interrupt;
};

/* ---- the signal ---- */

/* What this thread is about to wait on (-1: nothing), and what the handler puts there. */
static _Thread_local volatile sig_atomic_t waits_on = -1, unlockable = -1;

static void woken(int number)
{
	const int saved = errno;

	(void)number;
	if (waits_on >= 0)
		dup3(unlockable, waits_on, O_CLOEXEC);
	errno = saved;
}

static void wake(struct waiter *waiter)
{
	waiter->cancelled = true;
	pthread_kill(waiter->thread, WAKE_SIGNAL);
}

int locks_new(struct locks **out)
{
	/* The same for all shares of the process, however often it is done. */
	struct sigaction action = { .sa_handler = woken };
	struct locks *locks = calloc(1, sizeof *locks);

	if (!locks)
		return -ENOMEM;
	sigemptyset(&action.sa_mask);
	if (sigaction(WAKE_SIGNAL, &action, NULL) < 0) {
		free(locks);
		return -errno;
	}
	pthread_mutex_init(&locks->lock, NULL);
	*out = locks;
	return 0;
}

/* ---- owners ---- */

static int compare(const void *a_, const void *b_)
{
	const struct lock_owner *a = a_, *b = b_;

	if (a->node != b->node)
		return a->node < b->node ? -1 : 1;
	if (a->owner != b->owner)
		return a->owner < b->owner ? -1 : 1;
	return (int)a->is_flock - (int)b->is_flock;
}

/* Lock held, as for the next. */
static struct lock_owner *find_owner(struct locks *locks, uint64_t node, uint64_t owner, bool is_flock)
{
	const struct lock_owner key = { .node = node, .owner = owner, .is_flock = is_flock };
	struct lock_owner **found = tfind(&key, &locks->owners, compare);

	return found ? *found : NULL;
}

static void remove_owner(struct locks *locks, struct lock_owner *owner)
{
	tdelete(owner, &locks->owners, compare);
	locks->n_owners--;
	owner->orphan = true;
}

static void free_owner(struct lock_owner *owner)
{
	if (!owner)
		return;
	close(owner->fd);
	free(owner);
}

/* Whether there may be one more: of each other's descriptors the rooms leave enough. */
static bool room_for_owner(const struct locks *locks)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur == RLIM_INFINITY)
		files.rlim_cur = LOCK_OWNERS_MAX * (rlim_t)OWNER_FILES_SHARE;
	return locks->n_owners < LOCK_OWNERS_MAX &&
	       locks->n_owners < descriptors_of_share(files.rlim_cur / OWNER_FILES_SHARE);
}

/*
 * A description of the file for an owner's locks: able to hold both kinds, if the host lets us; otherwise as the handle
 * at hand. A descriptor or -errno.
 */
static int open_for_locks(struct share *share, const struct handle *handle)
{
	struct node *node;
	int r = node_get(share, handle->node, &node), fd = -EACCES;

	if (r < 0)
		return r;
	if (!share->options.readonly)
		fd = share_open_node(share, node, O_RDWR);
	if (fd == -EACCES || fd == -EPERM || fd == -EROFS || fd == -ETXTBSY)
		fd = share_open_node(share, node, handle->flags & O_ACCMODE);
	node_put(share, node);
	return fd == -EMFILE || fd == -ENFILE ? -ENOLCK : fd;
}

/* Puts a new owner into the tree, or takes the one that came in between. NULL: no memory. Takes over fd. */
static struct lock_owner *add_owner(struct locks *locks, const struct lock_owner *key, int fd)
{
	struct lock_owner *made = malloc(sizeof *made), *owner = NULL, **at;

	if (!made) {
		close(fd);
		return NULL;
	}
	*made = *key;
	made->fd = fd;
	pthread_mutex_lock(&locks->lock);
	at = tsearch(made, &locks->owners, compare);
	if (at) {
		owner = *at;
		owner->users++;
		if (owner == made)
			locks->n_owners++;
	}
	pthread_mutex_unlock(&locks->lock);
	if (owner != made)
		free_owner(made);
	return owner;
}

/* Holds the owner of a request, which is made where there is none and `make` says so. 0, -ENOENT or -errno. */
static int owner_get(struct share *share, const struct fuse_lk_in *in, const struct handle *handle, bool make,
                     struct lock_owner **out)
{
	struct locks *locks = share->locks;
	const struct lock_owner key = { .node = handle->node,
		                        .owner = in->owner,
		                        .is_flock = in->lk_flags & FUSE_LK_FLOCK };
	struct lock_owner *owner;
	bool room;
	int fd;

	pthread_mutex_lock(&locks->lock);
	owner = find_owner(locks, key.node, key.owner, key.is_flock);
	if (owner)
		owner->users++;
	room = room_for_owner(locks);
	pthread_mutex_unlock(&locks->lock);
	if (!owner && make) {
		if (!room)
			return -ENOLCK;
		fd = open_for_locks(share, handle);
		if (fd < 0)
			return fd;
		owner = add_owner(locks, &key, fd);
		if (!owner)
			return -ENOMEM;
	}
	*out = owner;
	return owner ? 0 : -ENOENT;
}

enum outcome { NOTHING_CHANGED, GOT_LOCK, HAS_NONE };

/* `serial`: of the owner when the operation began. */
static void owner_put(struct locks *locks, struct lock_owner *owner, enum outcome outcome, unsigned serial)
{
	bool gone;

	pthread_mutex_lock(&locks->lock);
	if (outcome == GOT_LOCK) {
		owner->holds = true;
		owner->serial++;
	} else if (outcome == HAS_NONE && owner->serial == serial) {
		/* Otherwise it got one meanwhile, and who knows which was first. */
		owner->holds = false;
	}
	if (--owner->users == 0 && !owner->holds && !owner->orphan)
		remove_owner(locks, owner);
	gone = owner->users == 0 && owner->orphan;
	pthread_mutex_unlock(&locks->lock);
	if (gone)
		free_owner(owner);
}

static unsigned owner_serial(struct locks *locks, const struct lock_owner *owner)
{
	unsigned serial;

	pthread_mutex_lock(&locks->lock);
	serial = owner->serial;
	pthread_mutex_unlock(&locks->lock);
	return serial;
}

/* ---- what the guest asks for ---- */

static bool whole_file(const struct fuse_lk_in *in)
{
	return (in->lk_flags & FUSE_LK_FLOCK) || (in->lk.start == 0 && in->lk.end == INT64_MAX);
}

static int check(const struct fuse_lk_in *in)
{
	if (in->lk.start > in->lk.end || in->lk.end > INT64_MAX)
		return -EINVAL;
	return in->lk.type == F_RDLCK || in->lk.type == F_WRLCK || in->lk.type == F_UNLCK ? 0 : -EINVAL;
}

/* A POSIX lock needs a handle that may do what the lock is for (fcntl(2)). */
static int check_mode(const struct fuse_lk_in *in, const struct handle *handle)
{
	const int mode = handle->flags & O_ACCMODE;

	if (in->lk_flags & FUSE_LK_FLOCK)
		return 0;
	return (in->lk.type == F_RDLCK && mode == O_WRONLY) || (in->lk.type == F_WRLCK && mode == O_RDONLY) ? -EBADF
	                                                                                                    : 0;
}

static struct flock host_lock(const struct fuse_lk_in *in)
{
	return (struct flock){
		.l_type = (short)in->lk.type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)in->lk.start,
		.l_len = in->lk.end == INT64_MAX ? 0 : (off_t)(in->lk.end - in->lk.start) + 1,
	};
}

/* 0 or -errno; -EAGAIN: somebody else has it. */
static int set_lock(int fd, const struct fuse_lk_in *in, bool wait)
{
	static const int operations[] = { [F_RDLCK] = LOCK_SH, [F_WRLCK] = LOCK_EX, [F_UNLCK] = LOCK_UN };
	struct flock lock;
	int r;

	if (in->lk_flags & FUSE_LK_FLOCK) {
		r = flock(fd, operations[in->lk.type] | (wait ? 0 : LOCK_NB));
	} else {
		lock = host_lock(in);
		r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock);
	}
	if (r == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

/* ---- waiting ---- */

/* Takes a remembered INTERRUPT of this request. Lock held. */
static bool take_interrupt(struct locks *locks, uint64_t unique)
{
	for (unsigned i = 0; i < INTERRUPTS_REMEMBERED; i++) {
		if (unique != 0 && locks->interrupts[i] == unique) {
			locks->interrupts[i] = 0;
			return true;
		}
	}
	return false;
}

static int add_waiter(struct share *share, struct waiter *waiter)
{
	struct locks *locks = share->locks;
	int r = 0;

	pthread_mutex_lock(&locks->lock);
	if (locks->cancelled || take_interrupt(locks, waiter->unique))
		r = -EINTR;
	else if (locks->n_waiters >= LOCK_WAITERS_MAX)
		r = -ENOLCK;
	else
		locks->waiters[locks->n_waiters++] = waiter;
	pthread_mutex_unlock(&locks->lock);
	return r;
}

/* After it nobody sends the signal any more. */
static void remove_waiter(struct locks *locks, const struct waiter *waiter)
{
	unsigned i = 0;

	pthread_mutex_lock(&locks->lock);
	while (locks->waiters[i] != waiter)
		i++;
	locks->waiters[i] = locks->waiters[--locks->n_waiters];
	pthread_mutex_unlock(&locks->lock);
}

static bool was_cancelled(struct locks *locks, const struct waiter *waiter)
{
	bool cancelled;

	pthread_mutex_lock(&locks->lock);
	cancelled = waiter->cancelled;
	pthread_mutex_unlock(&locks->lock);
	return cancelled;
}

/*
 * Waits once, on a duplicate that the handler may spoil. The signal is blocked but around the call. -EINTR or -EBADF:
 * woken, meant or not.
 */
static int wait_once(struct share *share, int of, const struct fuse_lk_in *in, const sigset_t *wake_set)
{
	int fd = fcntl(of, F_DUPFD_CLOEXEC, 0), r;

	if (fd < 0)
		return -ENOLCK;
	unlockable = share->root;
	waits_on = fd;
	pthread_sigmask(SIG_UNBLOCK, wake_set, NULL);
	r = set_lock(fd, in, true);
	pthread_sigmask(SIG_BLOCK, wake_set, NULL);
	waits_on = -1;
	close(fd);
	return r;
}

static int wait_for_lock(struct call *call, int fd, const struct fuse_lk_in *in)
{
	struct locks *locks = call->share->locks;
	struct waiter waiter = { .thread = pthread_self(), .unique = call->in.unique };
	sigset_t wake_set, before;
	int r;

	sigemptyset(&wake_set);
	sigaddset(&wake_set, WAKE_SIGNAL);
	/* From the moment that it may be sent; workers have it blocked, others that run us need not. */
	pthread_sigmask(SIG_BLOCK, &wake_set, &before);
	r = add_waiter(call->share, &waiter);
	if (r == 0) {
		do
			r = wait_once(call->share, fd, in, &wake_set);
		while ((r == -EINTR || r == -EBADF) && !was_cancelled(locks, &waiter));
		remove_waiter(locks, &waiter);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r == -EBADF ? -EINTR : r;
}

/* ---- operations ---- */

/* SETLK and SETLKW with a handle that is held. */
static int set(struct call *call, const struct handle *handle, bool wait)
{
	const struct fuse_lk_in *in = call_args(call, struct fuse_lk_in);
	const bool unlock = in->lk.type == F_UNLCK;
	struct locks *locks = call->share->locks;
	struct lock_owner *owner;
	unsigned serial;
	int r = check_mode(in, handle);

	if (r == 0)
		r = owner_get(call->share, in, handle, !unlock, &owner);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* there is nothing to unlock */
	serial = owner_serial(locks, owner);
	r = set_lock(owner->fd, in, false);
	if (r == -EAGAIN && wait)
		r = wait_for_lock(call, owner->fd, in);
	owner_put(locks, owner,
	          r < 0            ? NOTHING_CHANGED
	          : !unlock        ? GOT_LOCK
	          : whole_file(in) ? HAS_NONE
	                           : NOTHING_CHANGED,
	          serial);
	return r;
}

static int lock_or_unlock(struct call *call, bool wait)
{
	const struct fuse_lk_in *in = call_args(call, struct fuse_lk_in);
	struct handle *handle;
	int r;

	if (!call->share->locks)
		return -ENOSYS;
	r = check(in);
	if (r < 0)
		return r;
	/* Even one that does not wait for the lock may wait for a server (NFS). */
	if (!call->may_block)
		return CALL_BLOCKS;
	r = handle_get(call->share, in->fh, HANDLE_FILE, &handle);
	if (r < 0)
		return r;
	r = set(call, handle, wait);
	handle_put(call->share, handle);
	return r;
}

int op_setlk(struct call *call)
{
	return lock_or_unlock(call, false);
}

int op_setlkw(struct call *call)
{
	return lock_or_unlock(call, true);
}

/* What is in the way of the lock: in the guest's words. Whose it is, it does not learn: pid 0 is nobody it knows. */
static int get(struct call *call, const struct handle *handle, struct fuse_lk_out *out)
{
	const struct fuse_lk_in *in = call_args(call, struct fuse_lk_in);
	struct flock lock = host_lock(in);
	struct lock_owner *owner = NULL;
	int r;

	/* An owner's own locks are not in its way; one without any may ask through a description without any. */
	r = owner_get(call->share, in, handle, false, &owner);
	r = fcntl(r == 0 ? owner->fd : handle->fd, F_OFD_GETLK, &lock) < 0 ? -errno : 0;
	if (owner)
		owner_put(call->share->locks, owner, NOTHING_CHANGED, 0);
	if (r < 0)
		return r;
	out->lk.type = (uint32_t)lock.l_type;
	if (lock.l_type != F_UNLCK) {
		out->lk.start = (uint64_t)lock.l_start;
		out->lk.end = lock.l_len == 0 ? INT64_MAX : (uint64_t)lock.l_start + (uint64_t)lock.l_len - 1;
	}
	return 0;
}

int op_getlk(struct call *call)
{
	const struct fuse_lk_in *in = call_args(call, struct fuse_lk_in);
	struct fuse_lk_out out = { .lk = in->lk };
	struct handle *handle;
	int r;

	if (!call->share->locks)
		return -ENOSYS;
	r = check(in);
	if (r < 0 || in->lk.type == F_UNLCK || (in->lk_flags & FUSE_LK_FLOCK))
		return -EINVAL;
	if (!call->may_block)
		return CALL_BLOCKS;
	r = handle_get(call->share, in->fh, HANDLE_FILE, &handle);
	if (r < 0)
		return r;
	out.lk.pid = 0;
	r = get(call, handle, &out);
	handle_put(call->share, handle);
	return r < 0 ? r : call_reply(call, &out, sizeof out);
}

/* A FUSE server need not answer it, and a driver that leaves room for an answer gets one. */
static int interrupt_answer(const struct call *call)
{
	return call->request->writable_bytes >= sizeof(struct fuse_out_header) ? 0 : CALL_NO_REPLY;
}

/*
 * Only waits for locks can be interrupted; an INTERRUPT that overtook its request (another queue) is remembered for a
 * while.
 */
int op_interrupt(struct call *call)
{
	const uint64_t unique = call_args(call, struct fuse_interrupt_in)->unique;
	struct locks *locks = call->share->locks;
	bool found = false;

	if (!locks)
		return interrupt_answer(call);
	pthread_mutex_lock(&locks->lock);
	for (unsigned i = 0; i < locks->n_waiters; i++) {
		if (locks->waiters[i]->unique == unique) {
			wake(locks->waiters[i]);
			found = true;
		}
	}
	if (!found) {
		locks->interrupts[locks->next_interrupt] = unique;
		locks->next_interrupt = (locks->next_interrupt + 1) % INTERRUPTS_REMEMBERED;
	}
	pthread_mutex_unlock(&locks->lock);
	return interrupt_answer(call);
}

/* ---- ends ---- */

void locks_drop(struct share *share, uint64_t node, uint64_t owner_id, bool is_flock)
{
	const struct fuse_lk_in everything = { .lk = { .end = INT64_MAX, .type = F_UNLCK },
		                               .lk_flags = is_flock ? FUSE_LK_FLOCK : 0 };
	struct locks *locks = share->locks;
	struct lock_owner *owner, *gone = NULL;
	unsigned serial = 0;

	if (!locks)
		return;
	pthread_mutex_lock(&locks->lock);
	owner = find_owner(locks, node, owner_id, is_flock);
	if (owner && owner->users == 0) {
		/* Closing is unlocking. */
		remove_owner(locks, owner);
		gone = owner;
		owner = NULL;
	} else if (owner) {
		/* One of its threads waits for another lock, which it shall have. */
		owner->users++;
		serial = owner->serial;
	}
	pthread_mutex_unlock(&locks->lock);
	free_owner(gone);
	if (owner) {
		set_lock(owner->fd, &everything, false);
		owner_put(locks, owner, HAS_NONE, serial);
	}
}

/* Lock held. */
static void wake_all(struct locks *locks)
{
	for (unsigned i = 0; i < locks->n_waiters; i++)
		wake(locks->waiters[i]);
}

void locks_cancel(struct share *share)
{
	struct locks *locks = share->locks;

	if (!locks)
		return;
	pthread_mutex_lock(&locks->lock);
	locks->cancelled = true;
	wake_all(locks);
	pthread_mutex_unlock(&locks->lock);
}

/* Takes all owners away. Those at work on one finish without the tree. */
static void drop_all(struct locks *locks)
{
	for (;;) {
		struct lock_owner *owner;
		bool idle;

		pthread_mutex_lock(&locks->lock);
		owner = locks->owners ? *(struct lock_owner **)locks->owners : NULL;
		idle = owner && owner->users == 0;
		if (owner)
			remove_owner(locks, owner);
		pthread_mutex_unlock(&locks->lock);
		if (!owner)
			break;
		if (idle)
			free_owner(owner);
	}
}

void locks_clear(struct share *share)
{
	struct locks *locks = share->locks;

	if (!locks)
		return;
	drop_all(locks);
	pthread_mutex_lock(&locks->lock);
	wake_all(locks); /* there are none; but none shall be left behind */
	memset(locks->interrupts, 0, sizeof locks->interrupts);
	locks->cancelled = false;
	pthread_mutex_unlock(&locks->lock);
}

void locks_free(struct locks *locks)
{
	if (!locks)
		return;
	drop_all(locks);
	pthread_mutex_destroy(&locks->lock);
	free(locks);
}
