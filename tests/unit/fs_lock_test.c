/* SPDX-License-Identifier: MIT */
/* Locks on the host (locks = "host"): GETLK, SETLK, SETLKW, INTERRUPT, and how waits end. */
#include "tests/unit/fs_client.h"

#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#define EVERYTHING INT64_MAX
#define ALICE 0xa11ce
#define BOB 0xb0b

struct locked_file {
	struct fs_client client;
	uint64_t node, fh;
	ino_t ino;
};

static void begin_with(struct locked_file *file, int flags)
{
	struct stat st;

	fs_begin(&file->client, NULL, "locks = \"host\";");
	fs_host_file(&file->client, "file", "contents", 0644);
	assert_int_equal(fstatat(file->client.folder_fd, "file", &st, 0), 0);
	file->ino = st.st_ino;
	assert_int_equal(fs_lookup(&file->client, FUSE_ROOT_ID, "file", &file->node, NULL), 0);
	assert_int_equal(fs_open(&file->client, file->node, flags, &file->fh), 0);
}

static void begin(struct locked_file *file)
{
	begin_with(file, O_RDWR);
}

static void end(struct locked_file *file)
{
	assert_int_equal(fs_release(&file->client, file->node, file->fh), 0);
	fs_end(&file->client);
}

static int lock_range(struct locked_file *file, uint64_t owner, uint32_t type, uint64_t start, uint64_t end_at)
{
	const struct fuse_file_lock lock = { .start = start, .end = end_at, .type = type };

	return fs_setlk(&file->client, file->node, file->fh, owner, &lock, false, false);
}

static int lock_all(struct locked_file *file, uint64_t owner, uint32_t type)
{
	return lock_range(file, owner, type, 0, EVERYTHING);
}

static int flock_all(struct locked_file *file, uint64_t owner, uint32_t type)
{
	const struct fuse_file_lock lock = { .end = EVERYTHING, .type = type };

	return fs_setlk(&file->client, file->node, file->fh, owner, &lock, true, false);
}

static struct fs_request *wait_for_lock(struct locked_file *file, uint64_t owner, uint32_t type, bool flock)
{
	const struct fuse_lk_in in = { .fh = file->fh,
		                       .owner = owner,
		                       .lk = { .end = EVERYTHING, .type = type },
		                       .lk_flags = flock ? FUSE_LK_FLOCK : 0 };

	return fs_submit(&file->client, FUSE_SETLKW, file->node, &in, sizeof in, NULL, 0, 0);
}

static int result_of(struct locked_file *file, struct fs_request *request)
{
	return fs_wait(&file->client, request, NULL, 0, NULL);
}

/* How many wait in the host's kernel for a lock on the file. */
static unsigned blocked(const struct locked_file *file)
{
	FILE *locks = fopen("/proc/locks", "re");
	char line[256], inode[32];
	unsigned n = 0;

	assert_non_null(locks);
	snprintf(inode, sizeof inode, ":%llu ", (unsigned long long)file->ino);
	while (fgets(line, sizeof line, locks))
		if (strstr(line, "->") && strstr(line, inode))
			n++;
	fclose(locks);
	return n;
}

static void until_blocked(const struct locked_file *file, unsigned n)
{
	while (blocked(file) != n)
		sched_yield();
}

static void interrupt(struct locked_file *file, uint64_t unique)
{
	const struct fuse_interrupt_in in = { .unique = unique };

	assert_int_equal(fs_call(&file->client, FUSE_INTERRUPT, file->node, &in, sizeof in, NULL, 0, NULL, 0, NULL), 0);
}

/* ---- without waiting ---- */

static void owners_of_one_guest_exclude_each_other(void **state)
{
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(lock_range(&file, ALICE, F_WRLCK, 10, 19), 0);
	assert_int_equal(lock_range(&file, BOB, F_WRLCK, 20, 29), 0);
	assert_int_equal(lock_range(&file, BOB, F_RDLCK, 19, 19), -EAGAIN);
	assert_int_equal(lock_all(&file, ALICE, F_RDLCK), -EAGAIN);
	assert_int_equal(lock_range(&file, ALICE, F_RDLCK, 10, 19), 0); /* its own */
	assert_int_equal(lock_range(&file, BOB, F_RDLCK, 0, 19), 0);
	assert_int_equal(lock_range(&file, BOB, F_UNLCK, 15, EVERYTHING), 0);
	assert_int_equal(lock_range(&file, ALICE, F_WRLCK, 20, EVERYTHING), 0);
	assert_int_equal(lock_range(&file, ALICE, F_WRLCK, 14, 14), -EAGAIN);
	assert_int_equal(lock_all(&file, ALICE, F_UNLCK), 0);
	assert_int_equal(lock_all(&file, BOB, F_UNLCK), 0);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
	end(&file);
}

static void the_hosts_processes_are_excluded_too(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct locked_file file;
	int fd;

	(void)state;
	begin(&file);
	fd = openat(file.client.folder_fd, "file", O_RDWR | O_CLOEXEC);
	assert_int_equal(lock_all(&file, ALICE, F_RDLCK), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), -1);
	assert_int_equal(lock_all(&file, ALICE, F_UNLCK), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(lock_all(&file, ALICE, F_RDLCK), -EAGAIN);
	/* The two kinds of locks do not see each other. */
	assert_int_equal(flock_all(&file, ALICE, F_WRLCK), 0);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), -1);
	assert_int_equal(flock_all(&file, ALICE, F_RDLCK), 0);
	assert_int_equal(flock(fd, LOCK_SH | LOCK_NB), 0);
	assert_int_equal(flock_all(&file, BOB, F_WRLCK), -EAGAIN);
	close(fd);
	end(&file);
}

static void getlk_says_what_is_in_the_way(void **state)
{
	struct fuse_file_lock lock = { .start = 0, .end = EVERYTHING, .type = F_RDLCK };
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(fs_getlk(&file.client, file.node, file.fh, BOB, &lock), 0);
	assert_int_equal(lock.type, F_UNLCK);
	assert_int_equal(lock_range(&file, ALICE, F_WRLCK, 5, 7), 0);
	lock = (struct fuse_file_lock){ .end = EVERYTHING, .type = F_RDLCK };
	assert_int_equal(fs_getlk(&file.client, file.node, file.fh, ALICE, &lock), 0);
	assert_int_equal(lock.type, F_UNLCK);
	lock = (struct fuse_file_lock){ .end = EVERYTHING, .type = F_RDLCK };
	assert_int_equal(fs_getlk(&file.client, file.node, file.fh, BOB, &lock), 0);
	assert_int_equal(lock.type, F_WRLCK);
	assert_int_equal(lock.start, 5);
	assert_int_equal(lock.end, 7);
	assert_int_equal(lock.pid, 0);
	assert_int_equal(lock_range(&file, ALICE, F_RDLCK, 8, EVERYTHING), 0);
	lock = (struct fuse_file_lock){ .start = 9, .end = 9, .type = F_WRLCK };
	assert_int_equal(fs_getlk(&file.client, file.node, file.fh, BOB, &lock), 0);
	assert_int_equal(lock.type, F_RDLCK);
	assert_int_equal(lock.end, EVERYTHING);
	end(&file);
}

static void closing_drops_an_owners_locks(void **state)
{
	struct fuse_release_in release = { .release_flags = FUSE_RELEASE_FLOCK_UNLOCK, .lock_owner = ALICE };
	struct locked_file file;
	uint64_t other;

	(void)state;
	begin(&file);
	assert_int_equal(fs_open(&file.client, file.node, O_RDWR, &other), 0);
	assert_int_equal(lock_range(&file, ALICE, F_WRLCK, 1, 2), 0);
	assert_int_equal(fs_flush(&file.client, file.node, other, BOB), 0);
	assert_int_equal(lock_all(&file, BOB, F_RDLCK), -EAGAIN);
	/* POSIX: whichever of its descriptors the owner closes. */
	assert_int_equal(fs_flush(&file.client, file.node, other, ALICE), 0);
	assert_int_equal(lock_all(&file, BOB, F_RDLCK), 0);

	assert_int_equal(flock_all(&file, ALICE, F_WRLCK), 0);
	assert_int_equal(fs_flush(&file.client, file.node, other, ALICE), 0);
	assert_int_equal(flock_all(&file, BOB, F_WRLCK), -EAGAIN);
	release.fh = other;
	assert_int_equal(
		fs_call(&file.client, FUSE_RELEASE, file.node, &release, sizeof release, NULL, 0, NULL, 0, NULL), 0);
	assert_int_equal(flock_all(&file, BOB, F_WRLCK), 0);
	end(&file);
}

static void a_handle_must_be_open_for_what_is_locked(void **state)
{
	struct locked_file file;

	(void)state;
	begin_with(&file, O_RDONLY);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), -EBADF);
	assert_int_equal(lock_all(&file, ALICE, F_RDLCK), 0);
	assert_int_equal(flock_all(&file, ALICE, F_WRLCK), 0);
	end(&file);
	begin_with(&file, O_WRONLY);
	assert_int_equal(lock_all(&file, ALICE, F_RDLCK), -EBADF);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
	end(&file);
}

static void locks_that_make_no_sense_are_refused(void **state)
{
	struct fuse_file_lock lock = { .start = 2, .end = 1, .type = F_RDLCK };
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(lock_range(&file, ALICE, F_RDLCK, 2, 1), -EINVAL);
	assert_int_equal(lock_range(&file, ALICE, F_RDLCK, 0, UINT64_MAX), -EINVAL);
	assert_int_equal(lock_range(&file, ALICE, F_RDLCK, UINT64_MAX, UINT64_MAX), -EINVAL);
	assert_int_equal(lock_range(&file, ALICE, 3, 0, 1), -EINVAL);
	assert_int_equal(lock_range(&file, ALICE, UINT32_MAX, 0, 1), -EINVAL);
	assert_int_equal(lock_range(&file, ALICE, F_WRLCK, EVERYTHING, EVERYTHING), 0);
	assert_int_equal(fs_getlk(&file.client, file.node, file.fh, BOB, &lock), -EINVAL);
	lock = (struct fuse_file_lock){ .end = 1, .type = F_UNLCK };
	assert_int_equal(fs_getlk(&file.client, file.node, file.fh, BOB, &lock), -EINVAL);
	lock.type = F_RDLCK;
	assert_int_equal(fs_setlk(&file.client, file.node, file.fh + 1, ALICE, &lock, false, false), -EBADF);
	assert_int_equal(fs_setlk(&file.client, file.node, UINT64_MAX, ALICE, &lock, true, true), -EBADF);
	assert_int_equal(lock_all(&file, 12345, F_UNLCK), 0);
	end(&file);
}

static void owners_are_bounded_and_the_others_go_on(void **state)
{
	const struct rlimit few = { 256, 256 };
	struct rlimit before, limit;
	struct locked_file file;
	uint64_t n = 0;
	int r = 0;

	(void)state;
	begin(&file);
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	limit.rlim_cur = few.rlim_cur;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	while (r == 0 && n < 1000)
		r = lock_all(&file, ++n, F_RDLCK);
	assert_int_equal(r, -ENOLCK);
	assert_int_equal(n, 256 / 8 + 1);
	assert_int_equal(lock_all(&file, 1, F_UNLCK), 0);
	assert_int_equal(lock_all(&file, n, F_RDLCK), 0);
	setrlimit(RLIMIT_NOFILE, &before);
	end(&file);
}

/* ---- waiting ---- */

static void a_wait_ends_when_the_lock_is_free(void **state)
{
	struct locked_file file;

	(void)state;
	begin(&file);
	for (int flock = 0; flock < 2; flock++) {
		struct fs_request *wait;

		assert_int_equal(flock ? flock_all(&file, ALICE, F_WRLCK) : lock_all(&file, ALICE, F_WRLCK), 0);
		wait = wait_for_lock(&file, BOB, F_WRLCK, flock);
		until_blocked(&file, 1);
		assert_false(fs_is_done(&file.client, wait));
		assert_int_equal(flock ? flock_all(&file, ALICE, F_UNLCK) : lock_all(&file, ALICE, F_UNLCK), 0);
		assert_int_equal(result_of(&file, wait), 0);
		assert_int_equal(flock ? flock_all(&file, ALICE, F_RDLCK) : lock_all(&file, ALICE, F_RDLCK), -EAGAIN);
	}
	end(&file);
}

static void an_interrupt_ends_a_wait(void **state)
{
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
	assert_int_equal(flock_all(&file, ALICE, F_WRLCK), 0);
	for (int flock = 0; flock < 2; flock++) {
		struct fs_request *wait = wait_for_lock(&file, BOB, F_WRLCK, flock);

		until_blocked(&file, 1);
		interrupt(&file, fs_unique(wait) + 1000);
		interrupt(&file, fs_unique(wait));
		assert_int_equal(result_of(&file, wait), -EINTR);
	}
	end(&file);
}

static void an_interrupt_need_not_have_room_for_an_answer(void **state)
{
	struct {
		struct fuse_in_header header;
		struct fuse_interrupt_in in;
	} request = { .header = { .len = sizeof request, .opcode = FUSE_INTERRUPT, .unique = 99 } };
	const struct iovec readable = { &request, sizeof request };
	struct fs_request *wait;
	struct locked_file file;
	size_t written;

	(void)state;
	begin(&file);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
	wait = wait_for_lock(&file, BOB, F_WRLCK, false);
	request.in.unique = fs_unique(wait);
	assert_int_equal(fs_raw(&file.client, FS_HIPRIO, &readable, 1, NULL, 0, &written), -EBADMSG);
	assert_int_equal(written, 0);
	assert_int_equal(result_of(&file, wait), -EINTR);
	end(&file);
}

static void an_interrupt_is_never_lost(void **state)
{
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
	assert_int_equal(flock_all(&file, ALICE, F_WRLCK), 0);
	/* It comes at any moment: before the worker has begun, on its way into the system call, in it. */
	for (unsigned i = 0; i < 4000; i++) {
		struct fs_request *wait = wait_for_lock(&file, BOB, F_WRLCK, i % 2);

		for (unsigned spin = i % 397 * 500; spin > 0; spin--)
			__asm__ volatile("" ::: "memory");
		interrupt(&file, fs_unique(wait));
		assert_int_equal(result_of(&file, wait), -EINTR);
	}
	assert_int_equal(lock_all(&file, ALICE, F_UNLCK), 0);
	assert_int_equal(lock_all(&file, BOB, F_WRLCK), 0);
	end(&file);
}

static void waiters_leave_workers_to_those_that_unlock(void **state)
{
	struct fs_request *waits[LOCK_WAITERS_MAX + 1];
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
	for (unsigned i = 0; i < LOCK_WAITERS_MAX; i++)
		waits[i] = wait_for_lock(&file, 100 + i, F_RDLCK, false);
	until_blocked(&file, LOCK_WAITERS_MAX);
	waits[LOCK_WAITERS_MAX] = wait_for_lock(&file, BOB, F_RDLCK, false);
	assert_int_equal(result_of(&file, waits[LOCK_WAITERS_MAX]), -ENOLCK);
	assert_int_equal(lock_all(&file, ALICE, F_UNLCK), 0);
	for (unsigned i = 0; i < LOCK_WAITERS_MAX; i++)
		assert_int_equal(result_of(&file, waits[i]), 0);
	end(&file);
}

static void closing_does_not_take_what_another_thread_of_the_owner_waits_for(void **state)
{
	struct fs_request *wait;
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(lock_range(&file, BOB, F_WRLCK, 0, 9), 0);
	assert_int_equal(lock_range(&file, ALICE, F_WRLCK, 10, 19), 0);
	wait = wait_for_lock(&file, ALICE, F_WRLCK, false);
	until_blocked(&file, 1);
	assert_int_equal(fs_flush(&file.client, file.node, file.fh, ALICE), 0);
	assert_int_equal(lock_range(&file, BOB, F_WRLCK, 10, 19), 0);
	assert_int_equal(lock_all(&file, BOB, F_UNLCK), 0);
	assert_int_equal(result_of(&file, wait), 0);
	assert_int_equal(lock_range(&file, BOB, F_RDLCK, 10, 19), -EAGAIN);
	end(&file);
}

static void reset_ends_all_waits_and_drops_all_locks(void **state)
{
	struct fs_request *waits[LOCK_WAITERS_MAX];
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct locked_file file;
	int fd;

	(void)state;
	begin(&file);
	fd = openat(file.client.folder_fd, "file", O_RDWR | O_CLOEXEC);
	for (unsigned round = 0; round < 20; round++) {
		assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
		assert_int_equal(flock_all(&file, ALICE, F_WRLCK), 0);
		for (unsigned i = 0; i < LOCK_WAITERS_MAX; i++)
			waits[i] = wait_for_lock(&file, 100 + i, F_WRLCK, i % 2);
		if (round % 2)
			until_blocked(&file, LOCK_WAITERS_MAX);
		fs_reset(&file.client);
		(void)waits; /* void */
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
		assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
		lock.l_type = F_UNLCK;
		assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
		assert_int_equal(flock(fd, LOCK_UN), 0);
		lock.l_type = F_WRLCK;
		assert_int_equal(fs_init(&file.client, FUSE_KERNEL_MINOR_VERSION, UINT64_MAX, 131072), 0);
		assert_int_equal(fs_lookup(&file.client, FUSE_ROOT_ID, "file", &file.node, NULL), 0);
		assert_int_equal(fs_open(&file.client, file.node, O_RDWR, &file.fh), 0);
	}
	close(fd);
	end(&file);
}

static void nobody_waits_between_cancel_and_clear(void **state)
{
	struct locked_file file;

	(void)state;
	begin(&file);
	assert_int_equal(lock_all(&file, ALICE, F_WRLCK), 0);
	locks_cancel(file.client.share);
	assert_int_equal(result_of(&file, wait_for_lock(&file, BOB, F_WRLCK, false)), -EINTR);
	locks_clear(file.client.share);
	assert_int_equal(result_of(&file, wait_for_lock(&file, BOB, F_WRLCK, false)), 0);
	end(&file);
}

static void locks_are_the_guests_own_affair_by_default(void **state)
{
	const struct fuse_lk_in in = { .lk = { .type = F_RDLCK } };
	struct fs_client client;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_false(client.init.flags & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS));
	assert_int_equal(fs_call(&client, FUSE_SETLK, FUSE_ROOT_ID, &in, sizeof in, NULL, 0, NULL, 0, NULL), -ENOSYS);
	assert_int_equal(fs_call(&client, FUSE_SETLKW, FUSE_ROOT_ID, &in, sizeof in, NULL, 0, NULL, 0, NULL), -ENOSYS);
	assert_int_equal(fs_call(&client, FUSE_GETLK, FUSE_ROOT_ID, &in, sizeof in, NULL, 0, NULL, 0, NULL), -ENOSYS);
	for (size_t len = 0; len < sizeof in; len++)
		assert_int_equal(fs_call(&client, FUSE_SETLK, FUSE_ROOT_ID, &in, len, NULL, 0, NULL, 0, NULL), -EINVAL);
	fs_end(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(owners_of_one_guest_exclude_each_other),
		cmocka_unit_test(the_hosts_processes_are_excluded_too),
		cmocka_unit_test(getlk_says_what_is_in_the_way),
		cmocka_unit_test(closing_drops_an_owners_locks),
		cmocka_unit_test(a_handle_must_be_open_for_what_is_locked),
		cmocka_unit_test(locks_that_make_no_sense_are_refused),
		cmocka_unit_test(owners_are_bounded_and_the_others_go_on),
		cmocka_unit_test(a_wait_ends_when_the_lock_is_free),
		cmocka_unit_test(an_interrupt_ends_a_wait),
		cmocka_unit_test(an_interrupt_need_not_have_room_for_an_answer),
		cmocka_unit_test(an_interrupt_is_never_lost),
		cmocka_unit_test(waiters_leave_workers_to_those_that_unlock),
		cmocka_unit_test(closing_does_not_take_what_another_thread_of_the_owner_waits_for),
		cmocka_unit_test(reset_ends_all_waits_and_drops_all_locks),
		cmocka_unit_test(nobody_waits_between_cancel_and_clear),
		cmocka_unit_test(locks_are_the_guests_own_affair_by_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
